"""Forking: what is on record of a mission up to an event and after it, and the mission that begins there.

What had failed for good by the event stays failed, as part of the history that both share; what failed later is tried
anew. Pauses, cancelling and the end of the origin are not taken over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from orchestrator.core.adopting import fingerprint, template_of
from orchestrator.core.changing import Changed, changed_values
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from orchestrator.core.sound import plan_fits
from schemas.budgets import Budget
from schemas.commands import ForkMission
from schemas.errors import Refused
from schemas.events import Payload
from schemas.events.ballot import BallotDecided
from schemas.events.mission import MissionForked, MissionPlanned, MissionSubmitted
from schemas.events.task import TaskAdopted, TaskChosen, TaskFailed, TaskReady, TaskSucceeded
from schemas.expectations import Observation
from schemas.forks import ForkedFrom, RecordedResult

LABEL = "forked_from"
DECIDED = "decided"
"""In place of a fingerprint: it was given nothing and follows from other tasks, so that a fork decides it anew."""
_JUDGED = (TaskStatus.SUCCEEDED, TaskStatus.FAILED)


class Recording(Struct, frozen=True):
    """A mission as it was after its ``at``-th event, and what became of it since.

    Attributes:
        then, now: the mission after the event, and after the last event on record.
        count: how many events there are; ``at`` is at most that.
        sequence: place of the event in the log.
        given: (task, attempt) to the fingerprint of what the attempt was given.
        met: (task, attempt) to what was there of its needs, for tasks behind a barrier.
        ended: task to the number of the event by which it ended.
        changed: tasks whose output was itself given by a fork.
        planned: number of the event by which the mission was planned; 0 if it never was.
    """

    at: int
    count: int
    sequence: int
    then: Mission
    now: Mission
    given: dict[tuple[str, int], str]
    met: dict[tuple[str, int], tuple[str, ...]]
    ended: dict[str, int]
    changed: frozenset[str]
    planned: int


def recall(mission: Mission, facts: Iterable[tuple[int, Fact | None]], at: int) -> Recording:
    """Fold the events of a mission, each with its sequence; those that nobody can read are None, and counted.

    Args:
        mission: before the first event.
        at: the number of an event, from 1.
    """
    then, count, sequence, planned = mission, 0, 0, 0
    given: dict[tuple[str, int], str] = {}
    met: dict[tuple[str, int], tuple[str, ...]] = {}
    ended: dict[str, int] = {}
    changed: set[str] = set()
    for number, (place, fact) in enumerate(facts, 1):
        count = number
        if fact is not None:
            mission = evolve(mission, fact)
            if isinstance(fact.payload, TaskReady | TaskAdopted) and fact.payload.needs_met:
                met[fact.payload.task, fact.payload.attempt] = fact.payload.needs_met
            match fact.payload:
                case TaskReady() as event:
                    given[event.task, event.attempt] = fingerprint(_as_planned(mission, event))
                case TaskAdopted() as event:
                    given[event.task, event.attempt] = event.fingerprint
                    ended[event.task] = number
                    changed |= {event.task} if event.changed else set()
                case TaskChosen() as event:
                    given[event.task, event.attempt] = DECIDED
                case BallotDecided() as event:
                    given[event.ballot, event.round] = DECIDED
                case TaskSucceeded() | TaskFailed() as event:
                    ended[event.task] = number
                case MissionPlanned():
                    planned = planned or number
        if number == at:
            then, sequence = mission, place
    return Recording(at, count, sequence, then, mission, given, met, ended, frozenset(changed), planned)


def _as_planned(mission: Mission, ready: TaskReady) -> TaskReady:
    """An attempt that a recovery rule gave to another skill counts for the task as it was planned: a fork, too, begins
    with the planned skill, and what came of the recorded course is what it takes over."""
    task = mission.tasks.get(ready.task)
    return ready if task is None else ready.model_copy(update={"skill": task.spec.skill})


def fork(command: ForkMission, origin: Recording, now: datetime) -> list[Payload]:
    """The facts by which the new mission begins.

    Raises:
        Refused: there is no such event, or nothing was planned yet, or a change fits nothing.
    """
    _check(command, origin)
    source = ForkedFrom(mission=origin.now.id, at=command.at, sequence=origin.sequence)
    results = _results(origin, later=not command.fresh)
    new = changed_values(command.changes, origin.then, results)
    plan = command.plan or origin.then.plan.model_copy(update={"budget": Budget.model_validate(origin.then.limits)})
    labels = {**command.labels, LABEL: str(source)}
    return [
        MissionSubmitted(
            objective=command.objective or origin.then.objective,
            workflow=origin.then.workflow,
            inputs=new.inputs,
            labels=labels,
            submitted_by=command.by,
            forked_from=source,
        ),
        MissionForked(
            origin=source,
            changes=command.changes,
            rerun=command.rerun,
            fresh=command.fresh,
            results=tuple(_kept(results, new, command.rerun)),
        ),
        MissionPlanned(plan=plan, planned_at=now),
    ]


def _check(command: ForkMission, origin: Recording) -> None:
    if command.at > origin.count:
        raise Refused(
            f"mission {origin.now.id!r} has no event {command.at}", hint=f"its events are 1 to {origin.count:,}"
        )
    if not origin.then.goals:
        hint = f"choose event {origin.planned} or a later one" if origin.planned else "submit the objective again"
        raise Refused(f"mission {origin.now.id!r} was not planned yet at event {command.at}", hint=hint)
    if command.plan is not None and not plan_fits(command.plan):
        raise Refused("the plan is no task graph: it names goals or tasks that are not there, or twice")
    unknown = [task for task in command.rerun if task not in origin.now.tasks]
    if unknown:
        raise Refused(f"there is no task {unknown[0]!r} to run anew", hint="`stig mission show` lists them")


def _results(origin: Recording, *, later: bool) -> dict[str, RecordedResult]:
    """What had ended by the event, whichever way; and what has succeeded since."""
    found = dict(_of(origin, origin.then, _JUDGED))
    if later:
        found = {**dict(_of(origin, origin.now, (TaskStatus.SUCCEEDED,))), **found}
    return found


def _of(origin: Recording, mission: Mission, wanted: tuple[TaskStatus, ...]) -> Iterable[tuple[str, RecordedResult]]:
    for identifier in sorted(mission.tasks):
        task = mission.tasks[identifier]
        print_ = origin.given.get((identifier, task.attempt))
        if task.status in wanted and print_ is not None:
            yield identifier, _result(origin, mission, task, print_)


def _result(origin: Recording, mission: Mission, task: TaskState, print_: str) -> RecordedResult:
    finished, name = task.finished, task.spec.id
    return RecordedResult(
        task=name,
        attempt=task.attempt,
        fingerprint=print_,
        template=template_of(mission, name),
        ended=origin.ended.get(name, 0),
        needs_met=origin.met.get((name, task.attempt), ()),
        changed=name in origin.changed and bool(task.adopted),
        worker=finished.worker if finished is not None else "",
        output=finished.output if finished is not None else {},
        product=finished.product if finished is not None else None,
        observation=finished.observation if finished is not None else Observation(),
        failure=task.failure if task.status is TaskStatus.FAILED else None,
    )


def _kept(results: dict[str, RecordedResult], new: Changed, rerun: tuple[str, ...]) -> Iterable[RecordedResult]:
    """Everything that may be taken over, as it is in the fork."""
    for identifier in sorted({*results, *new.outputs}):
        result = results.get(identifier)
        if identifier in new.outputs:
            base = result or RecordedResult(task=identifier, attempt=1, fingerprint="")
            yield base.model_copy(update={"output": new.outputs[identifier], "changed": True, "failure": None})
        elif result is not None and identifier not in rerun and (result.changed or result.fingerprint != DECIDED):
            yield result
