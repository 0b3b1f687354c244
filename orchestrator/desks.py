"""Missions at hand: each folded from the log, kept fresh by following it, and moved on when something follows.

The shell around a pure heart, shared by the orchestrator and the task-queue manager: read, fold, decide, append.
State is only ever what has been read back from the log, never what was meant to be written; so it is always exactly a
fold of a prefix of the log. Several replicas may run: each follows everything, all may decide, the guard lets one of
them win, and the others read what the winner wrote.

Roads not taken: folding one's own events at once after the acknowledgement saves the echo (0.3 ms), but then events of
other writers that lie in between would be folded out of order. A durable consumer shared by the replicas would split
one mission's events among them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from events.port import Batch, Log, Window
from orchestrator.core.facts import Fact
from orchestrator.recording import Clock, Recorder, filters_for
from schemas.envelope import Event
from schemas.errors import Conflict, InvalidEvent, LogUnavailable, StigmergyError
from schemas.events import Payload
from schemas.subjects import guard_filter

_log = logging.getLogger(__name__)
_ENDS = ("mission.completed", "mission.failed", "mission.cancelled")
_LOADED_AT_ONCE = 50
_KEPT_ENDED = 200


class Rules[S](Protocol):
    """What one role does with missions; implementations are pure."""

    subjects: tuple[str, ...]
    """What it reads, as endings of subjects; all that it writes is among it."""

    def fresh(self, tenant: str, mission: str) -> S: ...
    def evolve(self, state: S, fact: Fact) -> S: ...
    def advance(self, state: S, now: datetime) -> list[Payload]: ...
    def timer(self, state: S) -> datetime | None: ...
    def seen(self, state: S) -> dict[str, int]: ...
    def ended(self, state: S) -> bool: ...
    def idle(self, state: S) -> bool:
        """Whether :meth:`advance` would certainly find nothing."""
        ...

    def read(self, before: S, fact: Fact) -> None:
        """Called with the state before a fresh fact that was folded: the place for effects that need no decision."""

    def recorded(self, state: S, facts: Sequence[tuple[Payload, str]]) -> None:
        """Called after a decision is on the log: the place for effects, such as sending a message."""


class Desk[S]:
    """One mission at hand.

    Attributes:
        place: sequence and index of the newest event folded into ``state``.
        first: sequence of the submission; 0 if it was not read.
        passed_over: noun to the sequence of its newest message that could not be read; the guard counts those, too.
        lock: one decision at a time.
    """

    def __init__(self, tenant: str, mission: str, state: S) -> None:
        self.tenant = tenant
        self.mission = mission
        self.state = state
        self.place = (0, -1)
        self.first = 0
        self.passed_over: dict[str, int] = {}
        self.cause = ""
        self.correlation: str | None = None
        self.traceparent: str | None = None
        self.lock = asyncio.Lock()
        self.busy = False
        self.again = False


class Desks[S]:
    """All missions that one role works on."""

    def __init__(self, log: Log, rules: Rules[S], recorder: Recorder, clock: Clock) -> None:
        self._log_port = log
        self._rules = rules
        self._recorder = recorder
        self._clock = clock
        self._desks: dict[tuple[str, str], Desk[S]] = {}
        self._position = 0
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    # reading

    async def load_open(self) -> None:
        """Fold every open mission from the log, and remember where following has to begin."""
        self._position = await self._log_port.last_sequence()
        counts = await self._log_port.missions(("mission.submitted", "mission.reopened", *_ENDS))
        still_open = [key for key, types in sorted(counts.items()) if _is_open(types)]
        for start in range(0, len(still_open), _LOADED_AT_ONCE):
            await self._load(still_open[start : start + _LOADED_AT_ONCE])

    async def _load(self, missions: Sequence[tuple[str, str]]) -> None:
        """Fold missions that are not at hand. What is appended meanwhile is read in a further round."""
        desks = {key: Desk(*key, self._rules.fresh(*key)) for key in missions}
        filters = tuple(f for t, m in missions for f in filters_for(self._rules.subjects, tenant=t, mission=m))
        first = 1
        while True:
            upto = self._position
            async for event in self._log_port.read(Window(filters, first, upto)):
                desk = desks[event.tenant, event.mission]
                # The stream may have dropped the beginning of a mission that has ended: half of it is no mission.
                if desk.first or event.type == "mission.submitted":
                    self._fold_into(desk, event)
            if upto == self._position:  # nothing was awaited since it was compared: the desks are level with the rest
                break
            first = upto + 1
        for key, desk in desks.items():
            self._desks.setdefault(key, desk)

    async def follow(self) -> None:
        """Fold what is appended, for ever, and move every mission on that it touches."""
        self._failed = asyncio.get_running_loop().create_future()
        for desk in list(self._desks.values()):
            self.touch(desk)
        timers = asyncio.create_task(self._watch_timers())
        reading = asyncio.create_task(self._read_on())
        try:
            await asyncio.wait({timers, reading, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            for done in (timers, reading, self._failed):
                if done.done():
                    done.result()
        finally:
            for task in (timers, reading, *self._tasks):
                task.cancel()
            await asyncio.gather(timers, reading, *self._tasks, return_exceptions=True)

    async def _read_on(self) -> None:
        window = Window(filters_for(self._rules.subjects), first=self._position + 1)
        async for batch in self._log_port.follow(window):
            await self._take_in(batch)

    async def _take_in(self, batch: Batch) -> None:
        touched: dict[tuple[str, str], Desk[S]] = {}
        for event in batch.events:
            if event.type == "mission.reopened":
                await self.at(event.tenant, event.mission)
        # From here on nothing is awaited: who loads a mission meanwhile must see all of the batch, or nothing of it.
        for event in batch.events:
            if (desk := self._fold(event)) is not None:
                touched[event.tenant, event.mission] = desk
        self._position = max(self._position, batch.last)
        self._moved.set()
        self._moved = asyncio.Event()
        for desk in touched.values():
            self.touch(desk)
        self._forget_ended()

    def _fold(self, event: Event) -> Desk[S] | None:
        key = (event.tenant, event.mission)
        desk = self._desks.get(key)
        if desk is None:
            if event.type != "mission.submitted":
                return None  # a late word about a mission that has ended
            desk = self._desks[key] = Desk(*key, self._rules.fresh(*key))
        before = desk.state
        fact = self._fold_into(desk, event)
        if fact is None:
            return None
        self._rules.read(before, fact)
        return desk

    def _fold_into(self, desk: Desk[S], event: Event) -> Fact | None:
        if (event.sequence, event.index) <= desk.place:
            return None
        try:
            fact = Fact.of(event)
        except InvalidEvent as error:
            # Kept on the log and visible there; a mission must not stand still because of somebody's nonsense.
            _log.warning("passed over: %s", error)
            desk.passed_over[event.type.partition(".")[0]] = event.sequence
            desk.place = (event.sequence, event.index)
            return None
        desk.state = self._rules.evolve(desk.state, fact)
        desk.place = (event.sequence, event.index)
        desk.cause = event.id
        if event.type == "mission.submitted":
            desk.first = desk.first or event.sequence
            desk.correlation, desk.traceparent = event.correlationid, event.traceparent
        return fact

    async def at(self, tenant: str, mission: str) -> Desk[S]:
        """The desk of a mission, folded from the log if it is not at hand."""
        key = (tenant, mission)
        desk = self._desks.get(key)
        if desk is not None and self._rules.ended(desk.state) and (await self._log_port.oldest())[0] > desk.first:
            # Dropped from the stream since: a decision could be written, and not be read again after a restart.
            del self._desks[key]
        if key not in self._desks:
            await self._load([key])
        return self._desks[key]

    def all(self) -> list[Desk[S]]:
        """Every mission at hand."""
        return list(self._desks.values())

    def _forget_ended(self) -> None:
        if len(self._desks) <= _KEPT_ENDED:
            return
        ended = [
            key
            for key, desk in self._desks.items()
            if self._rules.ended(desk.state) and not desk.busy and not desk.lock.locked()
        ]
        for key in ended[: max(0, len(self._desks) - _KEPT_ENDED)]:
            del self._desks[key]

    # deciding

    def touch(self, desk: Desk[S]) -> None:
        """Look whether something follows from the state of a mission."""
        if self._rules.idle(desk.state):
            return
        desk.again = True
        if not desk.busy:
            desk.busy = True
            task = asyncio.create_task(self._move_on(desk))
            self._tasks.add(task)
            task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def decide(self, desk: Desk[S], decision: Callable[[S], list[Payload]]) -> None:
        """Take a decision that nothing on the log prompted, for instance because time has passed."""
        async with desk.lock:
            if payloads := decision(desk.state):
                await self.record(desk, payloads, cause=desk.cause)
        self.touch(desk)

    async def _move_on(self, desk: Desk[S]) -> None:
        try:
            while desk.again:
                desk.again = False
                async with desk.lock:
                    payloads = self._rules.advance(desk.state, self._clock())
                    if payloads:
                        await self.record(desk, payloads, cause=desk.cause)
                        desk.again = True
        except StigmergyError as error:
            # Nothing that this mission could write is taken by the log. The others must not stand still with it.
            _log.error("mission %s cannot be moved on: %s (%s)", desk.mission, error, error.hint)
        finally:
            desk.busy = False

    async def record(self, desk: Desk[S], payloads: Sequence[Payload], *, cause: str) -> bool:
        """Append a decision and wait until it has been read back. The caller holds the desk's lock.

        Returns False if another replica decided first; what it wrote has then been read.
        """
        before = desk.place
        try:
            last = await self._recorder.record(
                desk.tenant,
                desk.mission,
                payloads,
                cause=cause,
                correlation=desk.correlation,
                seen=_newest(self._rules.seen(desk.state), desk.passed_over),
                traceparent=desk.traceparent,
                written=lambda facts: self._rules.recorded(desk.state, facts),
            )
        except Conflict:
            await self._something_new(desk, before, payloads)
            return False
        except StigmergyError as error:
            if not error.retryable:
                raise
            _log.warning("mission %s waits for the log: %s", desk.mission, error)
            await asyncio.sleep(1.0)
            return False
        while self._position < last:
            await self._moved.wait()
        return True

    async def _something_new(self, desk: Desk[Any], before: tuple[int, int], payloads: Sequence[Payload]) -> None:
        """Wait until a message of the mission was read that the decision did not know; often it has been already."""
        try:
            if desk.place == before and await self._pass_over_unreadable(desk, payloads):
                return
            async with asyncio.timeout(1.0):
                while desk.place == before:
                    await self._moved.wait()
        except TimeoutError:
            return
        except LogUnavailable as error:
            _log.warning("mission %s waits for the log: %s", desk.mission, error)

    async def _pass_over_unreadable(self, desk: Desk[Any], payloads: Sequence[Payload]) -> bool:
        """Whether all there is was read: then bytes that are no event stand between, and the guard counts them."""
        newest: dict[str, int] = {}
        for noun in {payload.TYPE.partition(".")[0] for payload in payloads}:
            newest[noun] = await self._log_port.newest(guard_filter(desk.tenant, desk.mission, noun))
        read = max(newest.values(), default=0) <= self._position
        if read:
            desk.passed_over.update(newest)
        return read

    async def _watch_timers(self) -> None:
        while True:
            now = self._clock()
            pause = 1.0
            for desk in self._desks.values():
                if (moment := self._rules.timer(desk.state)) is None:
                    continue
                if moment <= now:
                    self.touch(desk)
                else:
                    pause = min(pause, (moment - now).total_seconds())
            moved = self._moved
            try:
                async with asyncio.timeout(max(pause, 0.005)):
                    await moved.wait()
                await asyncio.sleep(0.02)  # a busy log must not make this a busy loop
            except TimeoutError:
                continue


def _newest(seen: dict[str, int], passed_over: dict[str, int]) -> dict[str, int]:
    return seen | {noun: max(number, seen.get(noun, 0)) for noun, number in passed_over.items()}


def _is_open(types: dict[str, int]) -> bool:
    begun = types.get("mission.submitted", 0) + types.get("mission.reopened", 0)
    return begun > sum(types.get(end, 0) for end in _ENDS)
