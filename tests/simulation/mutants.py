"""Known bugs, planted one at a time: a simulation that does not find them proves nothing.

``python -m tests.simulation mutants`` says after how many seeds each is found, and by which law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

import msgspec

from events.memory import MemoryLog
from orchestrator.core import advance as advancing
from orchestrator.core import barriers, graph, verdicts
from orchestrator.core import decide as deciding
from orchestrator.core import evolve as folding
from orchestrator.core.mission import Mission, MissionStatus, Tally, TaskState
from orchestrator.desks import Desks
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue import rules
from orchestrator.task_queue import service as managing
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.standby import StandbySender
from schemas.attempts import AttemptOrder, Failure
from schemas.barriers import Barrier
from schemas.events import attempt as attempts
from schemas.events import task as tasks
from tests.simulation.drawing import make_scenario
from tests.simulation.features import FEATURES
from tests.simulation.play import Outcome, play
from tests.simulation.scenario import Scenario, Wish
from workers import standby as standing_by
from workers.standby import Standby

Mutant = Callable[[], Any]


def _guards_ignored() -> Any:
    sound = MemoryLog.store

    async def store(self: MemoryLog, subject: str, raw: bytes, message_id: str, guard: Any = None) -> Any:
        return await sound(self, subject, raw, message_id, None)

    return patch.object(MemoryLog, "store", store)


def _late_words_count() -> Any:
    def counts(mission: Mission, event: Any) -> bool:
        task = mission.tasks.get(event.task)
        return task is not None and not task.status.ended and task.verdict is None and task.attempt > 0

    return patch.object(verdicts, "_counts", counts)


def _leases_never_end() -> Any:
    return patch.object(managing, "expired", lambda *_, **__: [])


def _silences_by_the_calendar() -> Any:
    def age_s(self: Any, _floor: Any, opened: Any) -> float:
        now: datetime = self._monotonic.__self__.clock()
        return (now - opened.since).total_seconds()

    return patch.object(Sightings, "age_s", age_s)


def _one_attempt_too_many() -> Any:
    sound = advancing._judged

    def judged(mission: Mission, task: TaskState, now: Any) -> Any:
        more = task.spec.retry.model_copy(update={"max_attempts": task.spec.retry.max_attempts + 1})
        return sound(mission, _with(task, spec=task.spec.model_copy(update={"retry": more})), now)

    return patch.object(advancing, "_judged", judged)


def _one_attempt_too_few() -> Any:
    sound = advancing._judged

    def judged(mission: Mission, task: TaskState, now: Any) -> Any:
        fewer = task.spec.retry.model_copy(update={"max_attempts": task.spec.retry.max_attempts - 1})
        return sound(mission, _with(task, spec=task.spec.model_copy(update={"retry": fewer})), now)

    return patch.object(advancing, "_judged", judged)


def _needs_are_not_awaited() -> Any:
    return patch.object(graph, "settled", lambda node: True)


def _commands_are_not_recognised() -> Any:
    sound = deciding.decide

    def decide(mission: Mission, command: Any, now: Any, **more: Any) -> Any:
        return sound(mission, command.model_copy(update={"id": f"{command.id}x"}), now, **more)

    return patch("orchestrator.service.decide", decide)


def _retries_are_not_folded() -> Any:
    return patch.dict(folding._FOLDS, {tasks.TaskRetried: lambda mission, _fact, _event: mission})


def _reports_are_not_folded() -> Any:
    return patch.object(floors, "_report", lambda floor, _event, _fact: floor)


def _violations_are_overlooked() -> Any:
    return patch.object(rules, "judge", lambda *_, **__: ())


def _decided_without_a_plan() -> Any:
    return patch.object(deciding, "_need_plan", lambda _mission: None)


def _pauses_are_ignored() -> Any:
    sound = advancing.advance

    def advance(mission: Mission, now: Any) -> Any:
        paused = mission.status is MissionStatus.PAUSED
        return sound(_with(mission, status=MissionStatus.RUNNING) if paused else mission, now)

    return patch("orchestrator.service.advance", advance)


def _lost_messages_stay_lost() -> Any:
    return patch.object(managing, "unclaimed", lambda *_: [])


def _last_word_counts() -> Any:
    def finished(mission: Mission, fact: Any, event: attempts.AttemptFinished) -> Mission:
        if not verdicts._counts(mission, event):
            return mission
        task = _with(mission.tasks[event.task], finished=event)
        mission = _with(mission, tasks=mission.tasks.set(event.task, task))
        if event.outcome == "succeeded":
            return verdicts._judge(mission, event.task, verdicts.Verdict())
        failure = event.failure or Failure(code=event.outcome, message="failed")
        return verdicts._judge(mission, event.task, verdicts.Verdict(failure))

    return patch.dict(folding._FOLDS, {attempts.AttemptFinished: finished})


def _followed_from_too_late() -> Any:
    sound = Desks.load_open

    async def load_open(self: Desks[Any], *among: Any) -> None:
        await sound(self, *among)
        self._position = await self._log_port.last_sequence()

    return patch.object(Desks, "load_open", load_open)


def _cancelled_too_early() -> Any:
    async def settle(self: Desks[Any], desk: Any) -> None:
        """Answers at once."""

    return patch.object(Desks, "settle", settle)


def _answers_from_stale_state() -> Any:
    async def catch_up(self: Desks[Any], desk: Any, noun: str) -> None:
        """Believes what it has."""

    return patch.object(Desks, "catch_up", catch_up)


def _with(state: Any, **changes: Any) -> Any:
    return folding.replace(state, **changes)


def _barriers_let_pass_too_early() -> Any:
    sound = barriers.holds

    def holds(barrier: Barrier, tally: Tally, *, late: bool = False) -> bool:
        return sound(barrier, msgspec.structs.replace(tally, met=tally.met + 1), late=late)

    return patch.object(barriers, "holds", holds)


def _given_and_sent_as_well() -> Any:
    sound = StandbySender.send

    def send(self: StandbySender, dispatch: Dispatch) -> None:
        sound(self, dispatch)
        if dispatch.order.given is not None:
            self._queues.send(dispatch)

    return patch.object(StandbySender, "send", send)


def _given_for_any_moment() -> Any:
    def hear(self: Standby, order: AttemptOrder) -> None:
        self._take(order)
        self._came.put((order, float("inf")))

    return patch.object(Standby, "hear", hear)


def _given_for_ever() -> Any:
    return patch.object(standing_by, "GIVEN_WITHIN_S", 1e9)


MUTANTS: dict[str, Mutant] = {
    "what is given is begun however late": _given_for_ever,
    "what is given is sent to the queue as well": _given_and_sent_as_well,
    "what is given is begun at any moment": _given_for_any_moment,
    "guards are ignored": _guards_ignored,
    "late words count": _late_words_count,
    "leases never end": _leases_never_end,
    "silences by the calendar": _silences_by_the_calendar,
    "one attempt too many": _one_attempt_too_many,
    "one attempt too few": _one_attempt_too_few,
    "needs are not awaited": _needs_are_not_awaited,
    "barriers let pass too early": _barriers_let_pass_too_early,
    "commands are not recognised": _commands_are_not_recognised,
    "retries are not folded": _retries_are_not_folded,
    "reports are not folded": _reports_are_not_folded,
    "violations are overlooked": _violations_are_overlooked,
    "decided without a plan": _decided_without_a_plan,
    "pauses are ignored": _pauses_are_ignored,
    "lost messages stay lost": _lost_messages_stay_lost,
    "a worker's word is proof": _last_word_counts,
    "followed from too late": _followed_from_too_late,
    "cancellations are answered too early": _cancelled_too_early,
    "answers come from stale state": _answers_from_stale_state,
    **{name: mutant for feature in FEATURES.values() for name, mutant in feature.mutants.items()},
}
_FEATURE = {name: feature.name for feature in FEATURES.values() for name in feature.mutants}


def _cancelled_among_crashes(scenario: Scenario) -> Scenario:
    scripts = tuple(replace(script, wishes=(Wish(1.0, "cancel"),)) for script in scenario.scripts)
    rates = {**scenario.rates, "killed_before_write": 0.2}
    return replace(scenario, scripts=scripts, rates=rates, orchestrators=1)


def _paused_at_last(scenario: Scenario) -> Scenario:
    """The pause is answered by one orchestrator, and the resumption asked at once of any of them."""
    script = replace(scenario.scripts[0], wishes=(Wish(0.5, "pause"),), submit_at=0.5)
    return replace(scenario, scripts=(script,), rough_s=0.9, orchestrators=2)


def _paused_before_it_is_planned(scenario: Scenario) -> Scenario:
    scripts = tuple(replace(script, wishes=(Wish(1.5, "pause"), Wish(3.0, "pause"))) for script in scenario.scripts)
    rates = {**scenario.rates, "killed_before_write": 0.2}
    return replace(scenario, scripts=scripts, rates=rates, orchestrators=2)


def _frozen_while_it_stands_by(scenario: Scenario) -> Scenario:
    return replace(scenario, rates={"worker_frozen": 0.5, "signal_lost": 0.02}, workers=3, rough_s=25.0)


SHARPER: dict[str, Callable[[Scenario], Scenario]] = {
    "what is given is begun however late": _frozen_while_it_stands_by,
    "cancellations are answered too early": _cancelled_among_crashes,
    "answers come from stale state": _paused_at_last,
    "decided without a plan": _paused_before_it_is_planned,
    **{name: sharper for feature in FEATURES.values() for name, sharper in feature.sharper.items()},
}
"""Bugs that want a rare course of events: it is made common for them, or finding them would take thousands of seeds."""


def scenario_for(name: str, seed: int) -> Scenario:
    """The scenario of a seed, sharpened for the bug."""
    always = frozenset({_FEATURE[name]} if name in _FEATURE else ())
    return SHARPER.get(name, lambda scenario: scenario)(make_scenario(seed, always=always))


@contextmanager
def planted(name: str) -> Iterator[None]:
    """One bug, for the time of the block."""
    with MUTANTS[name]():
        yield


def hunt(name: str, seeds: int, first: int = 0) -> Outcome | None:
    """Play seeds with the bug until a law is broken; None if none is."""
    with planted(name):
        for seed in range(first, first + seeds):
            if (outcome := play(scenario_for(name, seed))).law:
                return outcome
    return None
