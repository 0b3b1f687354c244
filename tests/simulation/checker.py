"""Watches the log of a run: after every append the laws are asked, and the live state is compared with the fold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from events.codec import decode
from events.memory import MemoryLog
from events.port import Ack, Guard, Stored
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission
from orchestrator.desks import Desk
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.floor import Floor
from schemas.attempts import AttemptOrder
from schemas.envelope import Event
from schemas.errors import InvalidEvent, InvalidInput, StigmergyError
from schemas.events import Payload
from schemas.events.action import ActionExpired
from tests.simulation.laws import LAWS
from tests.simulation.ledger import Book, Broken, Place, Span
from tests.simulation.said import Said

_COMPARED_EVERY = 16
_NO_MISSION = "_"
_LEASES = ("not_begun", "report_lost", "timed_out", "worker_lost")

type Key = tuple[str, str]


@dataclass
class Followed:
    """One mission: its book, and its folds at every place of the log."""

    book: Book
    mission: Mission
    floor: Floor
    missions: dict[Place, Mission] = field(default_factory=dict)
    floors: dict[Place, Floor] = field(default_factory=dict)


class Checker:
    """Everything that is known of a run from its log.

    Args:
        live: gives the desks of all living deciders.
        more: laws of features, asked before the standing ones.
    """

    def __init__(
        self,
        live: Callable[[], Iterable[Desk[Any]]],
        more: Sequence[Mapping[type[Payload], Callable[[Said], None]]] = (),
    ) -> None:
        self._live = live
        self._laws: dict[type[Payload], list[Callable[[Said], None]]] = {}
        for laws in (*more, LAWS):
            for kind, law in laws.items():
                self._laws.setdefault(kind, []).append(law)
        self.followed: dict[Key, Followed] = {}
        self.places: dict[str, Place] = {}
        self._tenants: dict[str, str] = {}
        self.lines: list[tuple[Key, str]] = []
        self.events = 0
        self._digest = hashlib.sha256()
        self.broken: Broken | None = None
        self.expired: list[tuple[Key, str]] = []
        self.spans: list[Span] = []

    @property
    def digest(self) -> str:
        """Of all bytes on the log, with their subjects."""
        return self._digest.hexdigest()

    def saw(self, sequence: int, subject: str, raw: bytes) -> None:
        """Take in one message. What breaks a law is kept in ``broken``: the first such thing counts."""
        self._digest.update(f"{sequence} {subject} ".encode() + raw)
        try:
            events = decode(raw, subject, sequence)
        except InvalidInput:
            return  # somebody's nonsense
        try:
            for event in events:
                self._take(event)
            if sequence % _COMPARED_EVERY == 0:
                self.compare()
        except Broken as broken:
            self.broken = self.broken or broken

    def _take(self, event: Event) -> None:
        place = (event.sequence, event.index)
        key = (event.tenant, event.mission)
        self.lines.append((key, line(event)))
        self.events += 1
        if event.id in self.places:
            raise Broken("no id comes twice", key, f"{event.type} {event.id} at {place}")
        self.places[event.id] = place
        tenant = self._tenants.setdefault(event.causationid or event.id, event.tenant)
        if event.tenant != tenant:
            raise Broken("no tenant's events lead to another's", key, f"{event.type} at {place} is because of {tenant}")
        self._tenants[event.id] = event.tenant
        if event.mission == _NO_MISSION:
            self._ask(Fact.of(event), Book(key), place)
            return
        seen = self.followed.get(key)
        if seen is None:
            seen = Followed(Book(key), Mission(tenant=key[0], id=key[1]), Floor(*key))
            self.followed[key] = seen
        try:
            fact = Fact.of(event)
        except InvalidEvent:
            seen.missions[place], seen.floors[place] = seen.mission, seen.floor
            return
        self._ask(fact, seen.book, place)
        if isinstance(fact.payload, ActionExpired):
            self.expired.append((key, fact.payload.failure.message))
        seen.mission, seen.floor = evolve(seen.mission, fact), floors.evolve(seen.floor, fact)
        seen.missions[place], seen.floors[place] = seen.mission, seen.floor

    def _ask(self, fact: Fact, book: Book, place: Place) -> None:
        if (laws := self._laws.get(type(fact.payload))) is not None:
            said = Said(book, fact, place, self.places.get(fact.cause))
            for law in laws:
                law(said)

    def begins(self, order: AttemptOrder, worker: str) -> None:
        """Take note that an agent is set to work at an attempt: of that nothing need be on the log."""
        seen = self.followed[order.tenant, order.mission]
        task = seen.book.tasks[order.task]
        failure = task.verdicts.get(order.attempt)
        over = order.attempt in task.given and failure is not None and failure.code in _LEASES
        broken = {
            "an attempt is made once": order.attempt in task.begun,
            "what is given to one is nobody else's": task.given.get(order.attempt, worker) != worker,
            "nobody begins what was given and has ended": over,
        }
        for law in (law for law, holds in broken.items() if holds):
            self.broken = self.broken or Broken(law, seen.book.key, f"{order.task} {order.attempt} by {worker}")
        task.begun.add(order.attempt)

    def compare(self) -> None:
        """Every living decider holds exactly a fold of a prefix of the log."""
        for desk in self._live():
            if desk.place == (0, -1):
                continue
            seen = self.followed[desk.tenant, desk.mission]
            folds: dict[Place, Any] = seen.missions if isinstance(desk.state, Mission) else seen.floors
            if desk.state != folds[desk.place]:
                raise Broken("the live state is a fold of the log", seen.book.key, f"at {desk.place}")

    def unsettled(self) -> list[str]:
        """Missions that have not come to their end, or have tasks left over."""
        return [
            f"{'/'.join(key)} is {seen.book.ended or 'open'} with {_open_tasks(seen.book)}"
            for key, seen in sorted(self.followed.items())
            if seen.book.submission and not seen.book.settled()
        ]

    async def at_the_end(self, log: MemoryLog, *, untroubled: bool) -> None:
        """What must hold when everything has come to rest; more of it if nothing had gone wrong at all."""
        self.compare()
        if untroubled and self.expired:
            raise Broken("where nothing goes wrong nothing expires", *self.expired[0])
        oldest, _ = await log.oldest()
        for key, seen in self.followed.items():
            if seen.missions and min(seen.missions)[0] < oldest:
                continue  # it has ended, and the log has forgotten it
            mission, floor = Mission(tenant=key[0], id=key[1]), Floor(*key)
            async for event in log.read(_window(key)):
                try:
                    fact = Fact.of(event)
                except InvalidEvent:
                    continue
                mission, floor = evolve(mission, fact), floors.evolve(floor, fact)
            if (mission, floor) != (seen.mission, seen.floor):
                raise Broken("folding again gives the same", key, "another state")
            if seen.book.submission and (floor.attempts or floor.agenda):
                raise Broken("no attempt is left over", key, ", ".join(sorted(floor.attempts)))
            if seen.book.ended and seen.book.ended != mission.status.value:
                raise Broken("the fold knows how it ended", key, f"{mission.status}, not {seen.book.ended}")
            for name, task in seen.book.tasks.items():
                if mission.tasks[name].status.value != task.ended:
                    raise Broken("the fold knows how tasks ended", key, f"{name} {mission.tasks[name].status}")


def _window(key: Key) -> Any:
    from events.port import Window

    return Window((f"events.{key[0]}.{key[1]}.>",))


def _open_tasks(book: Book) -> str:
    left = [name for name, task in book.tasks.items() if not task.ended]
    return f"open tasks: {', '.join(left)}" if left else "no open task"


def line(event: Event) -> str:
    """One event in one line."""
    about = event.data_as_dict()
    shown = {name: value for name, value in about.items() if name in _SHOWN}
    failure = about.get("failure") or {}
    words = [f"{name}={value}" for name, value in shown.items()]
    words += [f"because={failure['code']}"] if "code" in failure else []
    return (
        f"{event.sequence:>4}.{event.index} {event.time[14:23]} {event.mission:<4} {event.source:<18} "
        f"{event.type:<20} {' '.join(words)}"
    )


_SHOWN = ("task", "attempt", "goal", "group", "worker", "outcome", "reason", "verb", "not_before")


class CheckedLog(MemoryLog):
    """A log that shows everything it takes to a checker. Once a law is broken it takes nothing more."""

    checker: Checker

    def stored(self) -> list[Stored]:
        """All messages that were ever taken, also those that were dropped since."""
        return list(self._messages)

    async def store(
        self, subject: str, raw: bytes, message_id: str, guard: Guard | None = None
    ) -> Ack | StigmergyError:
        answer = await super().store(subject, raw, message_id, guard)
        if isinstance(answer, Ack) and not answer.duplicate:
            self.checker.saw(answer.sequence, subject, raw)
        return answer
