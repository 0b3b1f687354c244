"""What must follow from the present state, without anybody having asked: the mission's own steps.

``advance`` may be called at any time and as often as one likes: it looks at the agenda, and what has been recorded is
no longer on it. So a decision that was written in part is simply completed by the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from orchestrator.core import adopting, agenda, balloting, members
from orchestrator.core.barriers import Given, given_as_recorded, given_to
from orchestrator.core.choosing import chosen
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.handing import after_offer, not_taken
from orchestrator.core.mission import GoalState, GoalStatus, Mission, MissionStatus, TaskState, TaskStatus
from orchestrator.core.recovery import after_failure
from orchestrator.core.resolve import lenient_result, resolved_task, resolved_writes
from orchestrator.core.rest import left_behind_by
from orchestrator.core.unfold import unfold
from schemas.attempts import Failure
from schemas.ballots import ChoiceSpec, VoteSpec
from schemas.claims import paths_of
from schemas.errors import StigmergyError
from schemas.events import Payload
from schemas.events.goal import GoalAchieved, GoalFailed
from schemas.events.mission import MissionCompleted, MissionFailed, MissionPaused
from schemas.events.task import TaskCancelled, TaskFailed, TaskReady, TaskSkipped, TaskSucceeded
from schemas.expectations import Expectation, FilesChangedWithin, FilesUnchanged
from schemas.plan import ROOT_GOAL

MOST = 2000


def advance(mission: Mission, now: datetime, *, most: int = MOST) -> list[Payload]:
    """The facts that follow, in the order in which they should be recorded; about ``most`` at a time.

    Args:
        mission: the state folded from the log.
        now: the present instant; only timers compare with it.
    """
    facts: list[Payload] = []
    due = [key for key in _due(mission, now) if key[0] != agenda.BARRIER]
    mission = _step(mission, due, now, facts, MOST, late=True)
    while len(facts) < most:
        before = len(facts)
        mission = _step(mission, agenda.in_order(mission), now, facts, most)
        passed = [key for key in _due(mission, now) if key[0] == agenda.BARRIER] if len(facts) == before else []
        for key in passed:
            # A barrier's time may have passed before enough was there. Last, and one by one, so that it makes no
            # difference to the rest whether its timer was set in this call or in one before.
            mission = _step(mission, [key], now, facts, most)
            if len(facts) > before:
                break
        if len(facts) == before:
            break
    return facts


def _step(
    mission: Mission,
    keys: list[tuple[str, str]],
    now: datetime,
    facts: list[Payload],
    most: int,
    *,
    late: bool = False,
) -> Mission:
    """Handle these items as long as they are there and ``facts`` is not full; give the mission after that."""
    for kind, identifier in keys:
        there = mission.timers if late or kind == agenda.BARRIER else mission.agenda
        if (kind, identifier) not in there or len(facts) >= most:
            continue  # an earlier step of this round has settled it
        for payload in _handle(mission, kind, identifier, now, late=late):
            mission = evolve(mission, Fact(payload, now))
            facts.append(payload)
    return mission


def _due(mission: Mission, now: datetime) -> list[tuple[str, str]]:
    if mission.status.ended:
        return []
    return sorted(key for key, due in mission.timers.items() if due <= now)


def _handle(mission: Mission, kind: str, identifier: str, now: datetime, *, late: bool = False) -> list[Payload]:
    if kind == agenda.STOP:
        return [TaskCancelled(task=identifier, reason=_why_stopped(mission, identifier))]
    if mission.status.ended:
        return []
    if kind == agenda.GOAL:
        return list(_goal(mission, mission.goals[identifier], now, late=late))
    if kind == agenda.REPLAN:
        return []  # what follows is for the planner to say, and who asks it is not here
    if kind == agenda.TRIPPED:
        return [MissionPaused(reason=identifier)]
    if kind == agenda.JUDGED:
        return [_judged(mission, mission.tasks[identifier], now)]
    if kind in balloting.STEPS:
        return balloting.STEPS[kind](mission, identifier, late)
    if mission.status is MissionStatus.PAUSED or (agenda.STOP, identifier) in mission.agenda:
        return []
    if kind == agenda.BARRIER:
        kind = agenda.FREE if identifier in mission.tasks else agenda.UNFOLD
    return _STEPS[kind](mission, identifier, now)


def _free(mission: Mission, identifier: str, now: datetime) -> list[Payload]:
    task = mission.tasks[identifier]
    if task.hopeless:
        return [TaskSkipped(task=identifier, reason=task.hopeless)]
    if task.status not in (TaskStatus.WAITING, TaskStatus.RETRYING) or _is_given_up(mission, task.spec.goal):
        return []
    if (changed := adopting.changed(mission, task)) is not None:
        return [changed]
    if members.is_settled(mission, task):
        return [TaskCancelled(task=identifier, reason=_why_stopped(mission, identifier))]
    if (owner := members.owner_of(mission, task)) is not None and (agenda.FREE, owner.spec.id) in mission.agenda:
        return []  # what its owner comes to is certain: it may not be needed
    if isinstance(task.spec.settle, ChoiceSpec):
        return chosen(mission, task)
    try:
        if isinstance(task.spec.settle, VoteSpec):
            return [balloting.opened(mission, task, now)]
        if (as_there := given_as_recorded(mission, task.spec)) is not None:
            adopted = adopting.recorded(mission, task, _announced(mission, task, as_there))
            if adopted is not None:
                return [adopted]
        ready = _announced(mission, task, given_to(mission, task.spec))
    except StigmergyError as error:
        failure = Failure(code=error.code, message=error.message, hint=error.hint)
        return [TaskFailed(task=identifier, attempt=task.attempt + 1, failure=failure)]
    return [adopting.recorded(mission, task, ready) or ready]


def _announced(mission: Mission, task: TaskState, given: Given | None) -> TaskReady:
    """The next attempt, given what is there. Raises :class:`StigmergyError` where that does not fit."""
    spec = task.spec
    inputs, workspace, expects = resolved_task(mission, task, given)
    writes = resolved_writes(mission, task, given)
    return TaskReady(
        task=spec.id,
        attempt=task.attempt + 1,
        skill=task.skill or spec.skill,
        feedback=task.feedback,
        advice=task.advice,
        handed=task.handed,
        intent=spec.intent,
        inputs=inputs,
        workspace=workspace,
        writes=writes,
        on_conflict=spec.on_conflict,
        expects=_kept_to(writes, expects),
        priority=spec.priority,
        timeout_s=spec.timeout_s,
        requires=spec.requires,
        prefer=spec.prefer or mission.plan.prefer,
        needs_met=() if given is None else given.met,
        needs_missing=() if given is None else given.missing,
    )


def _kept_to(writes: tuple[str, ...], expects: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
    """Who says which files it will change is held to it."""
    if not writes or any(isinstance(one, FilesChangedWithin | FilesUnchanged) for one in expects):
        return expects
    return (*expects, FilesChangedWithin(patterns=paths_of(writes)))


def _is_given_up(mission: Mission, goal: str) -> bool:
    """Whether the goal, or one above it, has failed: then its tasks are about to be stopped."""
    return any(mission.goals[name].status is GoalStatus.FAILED for name in mission.goal_path[goal])


def _unfold(mission: Mission, identifier: str, now: datetime) -> list[Payload]:
    group = mission.groups[identifier]
    if group.hopeless:
        message = f"group {identifier!r} cannot unfold: {group.hopeless}"
        return [GoalFailed(goal=identifier, failure=Failure(code="skipped", message=message))]
    try:
        return [unfold(mission, group)]
    except StigmergyError as error:
        failure = Failure(code=error.code, message=error.message, hint=error.hint)
        return [GoalFailed(goal=identifier, failure=failure)]


def _judged(mission: Mission, task: TaskState, now: datetime) -> Payload:
    identifier, failure = task.spec.id, task.verdict.failure if task.verdict else None
    if failure is None and task.finished is not None and task.finished.is_offer:
        return after_offer(task)
    if failure is None:
        return TaskSucceeded(task=identifier, attempt=task.attempt)
    return not_taken(task, failure) or after_failure(mission, task, failure, now)


def _goal(mission: Mission, goal: GoalState, now: datetime, *, late: bool) -> Iterator[Payload]:
    if goal.status is not GoalStatus.OPEN:
        return
    if late and not _unfinished(mission, goal):
        return  # it is on the agenda, behind the goals below it
    failure = _why_failed(mission, goal, late=late)
    if goal.spec.id != ROOT_GOAL:
        if failure is not None:
            yield GoalFailed(goal=goal.spec.id, failure=failure)
        elif goal.pending == 0:
            yield GoalAchieved(goal=goal.spec.id)
    elif failure is not None:
        for identifier in sorted(mission.tasks):
            if not mission.tasks[identifier].status.ended:
                yield TaskCancelled(task=identifier, reason=failure.message)
        yield MissionFailed(failure=failure)
    elif goal.pending == 0:
        yield MissionCompleted(result=lenient_result(mission))


def _unfinished(mission: Mission, goal: GoalState) -> bool:
    """Whether the goal was still at work; also when a part of its end, the cancelling of its tasks, is on record."""
    if goal.pending:
        return True
    why = _too_late(goal).message
    return any(task.status is TaskStatus.CANCELLED and task.reason == why for task in mission.tasks.values())


def _too_late(goal: GoalState) -> Failure:
    message = f"goal {goal.spec.id!r} passed its deadline of {goal.spec.deadline_s:g} s"
    return Failure(code="timed_out", message=message)


def _why_failed(mission: Mission, goal: GoalState, *, late: bool) -> Failure | None:
    for name in mission.goal_path[goal.spec.id][1:]:
        if mission.goals[name].status is GoalStatus.FAILED:
            return mission.goals[name].failure  # nobody waits for it any more; what was left of it is cancelled
    if late:
        return _too_late(goal)
    if goal.failures <= goal.spec.error_threshold:
        return None
    return _first_failure(mission, goal)


def _first_failure(mission: Mission, goal: GoalState) -> Failure:
    """What a person should look at first: of the failures directly below, the earliest that is no mere consequence."""
    planned = [t for t in mission.tasks.values() if t.spec.id not in mission.part_of and not t.spec.member_of]
    here = [t for t in planned if t.spec.goal == goal.spec.id]
    failed = [t for t in here if t.status is TaskStatus.FAILED]
    failed.sort(key=lambda task: (str(task.ended_at), task.spec.id))
    for task in failed:
        if task.failure is not None:
            return task.failure.model_copy(update={"message": f"task {task.spec.id}: {task.failure.message}"})
    for identifier in sorted(mission.goals):
        child = mission.goals[identifier]
        if child.spec.parent == goal.spec.id and child.failure is not None and not child.spec.optional:
            return child.failure
    skipped = sorted(t.spec.id for t in here if t.status is TaskStatus.SKIPPED)
    return Failure(code="skipped", message=f"tasks that could not run: {', '.join(skipped[:5])}")


def _why_stopped(mission: Mission, task: str) -> str:
    if mission.status.ended:
        return mission.reason or f"mission {mission.status.value}"
    for name in mission.goal_path[mission.tasks[task].spec.goal]:
        if (failure := mission.goals[name].failure) is not None:
            return failure.message
    if members.is_settled(mission, mission.tasks[task]):
        return f"no longer needed: {mission.tasks[task].spec.member_of} is settled"
    if (owner := mission.part_of.get(task)) is not None:
        return f"{owner} goes on without it"
    user = left_behind_by(mission, task)
    return f"{user} has begun without it" if user else "no longer needed"


_STEPS: dict[str, Callable[[Mission, str, datetime], list[Any]]] = {agenda.FREE: _free, agenda.UNFOLD: _unfold}
