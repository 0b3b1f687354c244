"""Tasks that agents hand on to one another, to skills that nobody has, and more often than they may."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from msgspec.structs import replace

from orchestrator.core import advance as advancing
from orchestrator.core import evolve as folding
from orchestrator.core import handing
from orchestrator.core.facts import Fact
from orchestrator.core.handing import EXHAUSTED
from orchestrator.core.mission import Mission, TaskState
from schemas.events.action import ActionDispatched
from schemas.events.agent import AgentTookOver
from schemas.events.attempt import AttemptFinished
from schemas.events.mission import MissionReopened
from schemas.events.task import TaskFailed, TaskHandedBack, TaskHandedOver, TaskReady, TaskRetried, TaskSucceeded
from schemas.handoff import HandOffRule
from schemas.plan import TaskSpec
from tests.simulation.feature import Deed, Feature, Part

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet
    from tests.simulation.said import Said

_SKILLS = ("s", "t", "s", "t", "s", "t", "nobody")


class _Course:
    """How one task went round, by the log alone.

    Attributes:
        offers: confirmed offers that something was decided about, since it was last reopened.
        giver: who gets it back if nobody takes it.
        told: the offer that the next attempts go on from; ``returned`` if it came back.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec, self.giver = spec, ""
        self.offers, self.forgiven = 0, 0
        self.told: AttemptFinished | None = None
        self.returned = False


class HandingPart(Part):
    """What must hold of every hand-off, and the agents that do it."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._courses: dict[tuple[tuple[str, str], str], _Course] = {}
        self.laws = {
            TaskHandedOver: self._over,
            TaskHandedBack: self._back,
            MissionReopened: self._reopened,
            TaskFailed: self._failed,
            TaskRetried: self._retried,
            TaskReady: self._ready,
            ActionDispatched: self._dispatched,
            AgentTookOver: self._took_over,
        }

    def act(self, deed: Deed) -> None:
        """Now and then hand the task on instead of ending it."""
        if self.fleet.fates.strikes("handed_off"):
            notes = {"n": deed.chance.randint(0, 10**9), "by": deed.node.name}
            deed.context.hand_off(deed.chance.choice(_SKILLS), why="somebody else can", notes=notes)

    def _course(self, said: Said) -> _Course:
        task = said.task()
        return self._courses.setdefault((said.book.key, task.spec.id), _Course(task.spec))

    def _reopened(self, said: Said) -> None:
        """What is tried again begins anew: with the skill and the workspace of the plan."""
        for name, task in said.book.tasks.items():
            if name in said.payload.tasks or task.ended not in ("succeeded", "failed"):
                self._courses.pop((said.book.key, name), None)

    def _decided(self, said: Said, skill: str) -> _Course | None:
        """What an accepted and a returned offer have in common; None if it comes too late to mean anything."""
        task, event, course = said.task(), said.payload, self._course(said)
        if said.book.ended or task.ended:
            said.need(not said.book.ended or not said.knew(said.book.ended_at), "nobody goes on with what has ended")
            return None
        said.need(event.attempt == task.attempt + 1, "attempts count one by one")
        said.need(event.attempt > task.granted, "an attempt is granted once")
        task.granted, task.spared = event.attempt, task.spared + 1
        task.skill = skill
        return course

    def _offer(self, said: Said) -> AttemptFinished:
        """The confirmed offer that a decision is about."""
        task = said.task()
        report = task.reports.get(task.attempt)
        said.need(report is not None and report.is_offer, "only what was offered is handed on")
        said.need(task.verdicts.get(task.attempt, said) is None, "only a confirmed offer is decided about")
        assert report is not None
        return report

    def _over(self, said: Said) -> None:
        giver, event = said.task().skill, said.payload
        if (course := self._decided(said, event.skill)) is None:
            return
        offer, rule = self._offer(said), course.spec.hand_off
        assert offer.hand_off is not None
        course.offers += 1
        said.need(event.number == course.offers <= rule.most, "a task is handed on within its bound")
        said.need(event.skill == offer.hand_off.to != giver, "a task goes to the skill it was offered to")
        allowed = rule.to is None or event.skill in (*rule.to, course.spec.skill)
        said.need(allowed, "the plan says to whom a task may go")
        course.told, course.returned, course.giver = offer, False, giver

    def _back(self, said: Said) -> None:
        task, event = said.task(), said.payload
        holder = task.skill
        if (course := self._decided(said, event.skill)) is None:
            return
        if task.verdicts.get(task.attempt) is None:
            course.told, course.offers = self._offer(said), course.offers + 1
            said.need(event.skill == holder, "what is refused goes back to whoever offered it")
        else:
            said.need(course.told is not None and not course.returned, "only what was handed over can lapse")
            said.need(event.skill == course.giver, "what nobody takes goes back to whoever offered it")
        said.need(course.offers <= course.spec.hand_off.most + 1, "a giver is told once that it is enough")
        course.returned = True

    def _retried(self, said: Said) -> None:
        """To roll back is to go back to before it was handed on."""
        course = self._course(said)
        if said.payload.recovery == "roll_back" and course.told is not None:
            course.told, course.returned = None, False
            said.task().skill = course.spec.skill

    def _failed(self, said: Said) -> None:
        if said.payload.failure.code == EXHAUSTED:
            course = self._course(said)
            most = 0 if course.spec.hand_off.to == () else course.spec.hand_off.most
            said.need(course.offers > most, "a task fails of offers only beyond its bound")

    def _ready(self, said: Said) -> None:
        event, course = said.payload, self._course(said)
        if said.book.ended or said.task().ended:
            return
        if course.told is None:
            said.need(event.handed is None, "nobody is told of an offer that was none")
            return
        said.need(event.handed is not None, "what was handed over is not forgotten")
        self._check_told(said, event.handed, course)

    def _dispatched(self, said: Said) -> None:
        course, handed = self._course(said), said.payload.order.handed
        if said.payload.attempt == said.task().attempt and course.told is not None:
            said.need(handed is not None, "the order tells what was handed over")
            self._check_told(said, handed, course)

    def _check_told(self, said: Said, handed: Any, course: _Course) -> None:
        offer = course.told
        assert offer is not None
        assert offer.hand_off is not None
        same = handed.attempt == offer.attempt and handed.notes == offer.hand_off.notes
        said.need(same, "the notes given are those that arrive")
        said.need(handed.workspace == offer.product, "the workspace given is the one taken over")
        said.need(bool(handed.returned) == course.returned, "only who gets it back is told that it came back")

    def _took_over(self, said: Said) -> None:
        task, event = said.task(), said.payload
        said.need(event.attempt in task.workers, "only who has claimed an attempt takes it over")
        giver = task.reports.get(event.giver)
        said.need(giver is not None and giver.is_offer, "only what was offered is taken over")


def _bounds_are_not_kept() -> Any:
    def forgetful(task: TaskState) -> Any:
        return sound(task if task.offers < 2 else _with_offers(task, 0))

    sound: Callable[[TaskState], Any] = handing.after_offer
    return patch.object(advancing, "after_offer", forgetful)


def _with_offers(task: TaskState, offers: int) -> TaskState:
    return replace(task, offers=offers)


def _offers_are_forgotten() -> Any:
    sound = handing._handed_over

    def over(mission: Mission, fact: Fact, event: TaskHandedOver) -> Mission:
        after = sound(mission, fact, event)
        if after is mission:
            return mission
        return replace(after, tasks=after.tasks.set(event.task, replace(after.tasks[event.task], handed=None)))

    return patch.dict(folding._FOLDS, {TaskHandedOver: over})


def _offers_count_as_done() -> Any:
    return patch.object(advancing, "after_offer", lambda task: TaskSucceeded(task=task.spec.id, attempt=task.attempt))


class Handing(Feature):
    """Some tasks of a mission may be handed on, some not, some only to some."""

    name, share, part = "handing", 0.25, HandingPart
    rates = MappingProxyType({"handed_off": 0.4})
    mutants = MappingProxyType(
        {
            "hand-offs are not counted": _bounds_are_not_kept,
            "what was handed over is forgotten": _offers_are_forgotten,
            "an offer counts as done": _offers_count_as_done,
        }
    )

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        """The task with a rule about handing it on."""
        to = rng.choice((None, None, None, None, (), ("s", "t"), ("t", "nobody")))
        rule = HandOffRule(to=to, most=rng.randint(0, 3), accept_within_s=rng.choice((0.5, 3.0, 10.0)))
        return task.model_copy(update={"hand_off": rule})
