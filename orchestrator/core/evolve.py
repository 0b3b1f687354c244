"""Folding: the state after one more fact. Never fails, never asks, never decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from immutables import Map
from msgspec.structs import replace

from orchestrator.core import agenda, graph, sound
from orchestrator.core.ballots import BALLOTS, close_all
from orchestrator.core.barriers import count_begin
from orchestrator.core.facts import Fact
from orchestrator.core.handing import HANDINGS
from orchestrator.core.members import reopens
from orchestrator.core.mission import (
    GoalState,
    GoalStatus,
    GroupState,
    Mission,
    MissionStatus,
    TaskState,
    TaskStatus,
    Verdict,
)
from orchestrator.core.replanning import REPLANNING
from orchestrator.core.rest import stop_rest, stop_rest_of_all
from orchestrator.core.settle import end_task, give_up_groups, report, touch_goal
from orchestrator.core.verdicts import VERDICTS
from schemas.attempts import Failure
from schemas.budgets import reached
from schemas.errors import UNCOUNTED
from schemas.events import Payload
from schemas.events import attempt as attempts
from schemas.events import goal as goals
from schemas.events import mission as missions
from schemas.events import task as tasks
from schemas.events import world as worlds
from schemas.events.base import TaskPayload
from schemas.plan import ROOT_GOAL, GoalSpec, Group

GUARDED_NOUNS = ("mission", "task", "goal", "ballot")


def evolve(mission: Mission, fact: Fact) -> Mission:
    """The mission after ``fact``. Facts that say nothing about it, or come too late to count, leave it as it is."""
    payload = fact.payload
    noun = payload.TYPE.partition(".")[0]
    if fact.sequence and noun in GUARDED_NOUNS:
        mission = replace(mission, seen={**mission.seen, noun: fact.sequence})
    fold = _FOLDS.get(type(payload))
    return fold(mission, fact, payload) if fold is not None and _known(mission, payload) else mission


def _known(mission: Mission, payload: Payload) -> bool:
    """Whether the fact speaks of things this mission has, and can be so now. Anybody may put nonsense on a bus."""
    match payload:
        case TaskPayload():
            return payload.task in mission.tasks
        case goals.GoalAchieved() | goals.GoalFailed():
            goal = mission.goals.get(payload.goal)
            return goal is not None and goal.status is GoalStatus.OPEN and _open(mission)
        case missions.MissionSubmitted():
            return mission.status is MissionStatus.NEW
        case missions.MissionForked():
            return _open(mission) and not mission.goals and not mission.forked and mission.forked_from is not None
        case missions.MissionPlanned():
            return _open(mission) and not mission.goals and sound.plan_fits(payload.plan)
        case missions.MissionExtended():
            return _open(mission) and sound.extension_fits(mission, payload)
        case missions.MissionPaused():
            return mission.status is MissionStatus.RUNNING
        case missions.MissionResumed():
            return mission.status is MissionStatus.PAUSED
        case missions.MissionReopened():
            failed = mission.status is MissionStatus.FAILED and bool(mission.goals)
            return failed and all(task in mission.tasks for task in payload.tasks)
        case _:
            return _open(mission)


def _open(mission: Mission) -> bool:
    return mission.status in (MissionStatus.RUNNING, MissionStatus.PAUSED)


def _submitted(mission: Mission, fact: Fact, event: missions.MissionSubmitted) -> Mission:
    return replace(
        mission,
        objective=event.objective,
        workflow=event.workflow,
        inputs=event.inputs,
        submission=fact.cause,
        forked_from=event.forked_from,
        submitted_at=fact.at,
        status=MissionStatus.RUNNING,
    )


def _forked(mission: Mission, fact: Fact, event: missions.MissionForked) -> Mission:
    alike: dict[str, tuple[str, ...]] = {}
    for result in event.results:
        alike[result.fingerprint] = (*alike.get(result.fingerprint, ()), result.task)
    return replace(
        mission,
        forked=True,
        recorded=Map({result.task: result for result in event.results}),
        alike=Map(alike),
        recorded_needs=Map({result.task: result.needs_met for result in event.results if result.needs_met}),
    )


def _planned(mission: Mission, fact: Fact, event: missions.MissionPlanned) -> Mission:
    plan = event.plan
    borne = graph.borne_groups(plan)
    groups = (_group_goal(group, optional=group.id in borne) for group in plan.groups)
    specs = [graph.root(plan.deadline_s), *plan.goals, *groups]
    mission = replace(
        mission,
        plan=plan,
        limits=plan.budget.limits,
        tasks=Map({spec.id: graph.new_task(spec) for spec in plan.tasks}),
        groups=Map({group.id: GroupState(spec=group) for group in plan.groups}),
        goals=Map({spec.id: GoalState(spec=spec) for spec in specs}),
    )
    return _begun(graph.index(mission), event.planned_at)


def _begun(mission: Mission, at: datetime) -> Mission:
    """The mission's own time runs: that of its deadline, and of barriers that count from there."""
    return graph.settle_barriers(touch_goal(mission, ROOT_GOAL, at))


def _group_goal(group: Group, *, optional: bool) -> GoalSpec:
    # A group's own goal ends when its branches have; what failed in an optional branch is forgiven there.
    return GoalSpec(id=group.id, title=group.title, parent=group.goal, optional=optional)


def _extended(mission: Mission, fact: Fact, event: missions.MissionExtended) -> Mission:
    group = mission.groups[event.group]
    branches = {spec.id: spec.goal.removeprefix(f"{event.group}.") for spec in event.tasks}
    mission = agenda.take(mission, agenda.UNFOLD, event.group)
    mission = agenda.drop_timer(mission, agenda.BARRIER, event.group)
    mission = replace(
        mission,
        tasks=mission.tasks.update({spec.id: graph.new_task(spec) for spec in event.tasks}),
        goals=mission.goals.update({spec.id: GoalState(spec=spec) for spec in event.goals}),
        branch_of=mission.branch_of.update({task: (event.group, branch) for task, branch in branches.items()}),
        groups=mission.groups.set(event.group, replace(group, branches=event.branches, items=event.items)),
    )
    mission = graph.index(mission)
    return stop_rest_of_all(mission, (event.group, *mission.dependents.get(event.group, ())))


def _paused(mission: Mission, fact: Fact, event: missions.MissionPaused) -> Mission:
    for kind, reason in agenda.in_order(mission):
        if kind == agenda.TRIPPED:
            mission = agenda.take(mission, kind, reason)
    return replace(mission.obeying(fact.cause), status=MissionStatus.PAUSED, reason=event.reason)


def _resumed(mission: Mission, fact: Fact, event: missions.MissionResumed) -> Mission:
    limits = {**mission.limits, **event.budget.limits}
    mission = replace(mission.obeying(fact.cause), limits=limits, exhausted={})
    return replace(mission, status=MissionStatus.RUNNING, reason="")


def _reopened(mission: Mission, fact: Fact, event: missions.MissionReopened) -> Mission:
    """Failed tasks, and whatever was skipped or cancelled with them, wait again; failed goals are open again."""
    states, groups = mission.tasks, mission.groups
    again = {name for name, goal in mission.goals.items() if goal.status is not GoalStatus.ACHIEVED}
    for identifier, task in mission.tasks.items():
        if identifier in mission.part_of:
            continue  # the task itself is tried again, in its own way first
        if reopens(mission, task, event.tasks):
            fresh = TaskState(
                spec=task.spec,
                attempt=task.attempt,
                forgiven=task.attempt,
                refers=task.refers,
                answers=task.answers,
                rounds=task.rounds,
            )
            states = states.set(identifier, fresh)
            again.update(mission.goal_path[task.spec.goal])
    for identifier, group in mission.groups.items():
        if group.branches is None:
            groups = groups.set(identifier, GroupState(spec=group.spec))
            again.update(mission.goal_path[identifier])
    open_goals = mission.goals.update({name: GoalState(spec=mission.goals[name].spec) for name in again})
    mission = replace(mission, tasks=states, groups=groups, goals=open_goals, agenda=Map(), timers=Map())
    mission = mission.obeying(fact.cause)
    mission = replace(mission, status=MissionStatus.RUNNING, failure=None, ended_at=None, reason="")
    mission = _begun(graph.index(mission), fact.at)
    # What was left behind, and now waits again with everything that had not ended well, stays behind.
    return stop_rest_of_all(mission, (*mission.tasks, *mission.groups))


def _completed(mission: Mission, fact: Fact, event: missions.MissionCompleted) -> Mission:
    return _ended(mission, fact, MissionStatus.COMPLETED, GoalStatus.ACHIEVED, result=event.result)


def _failed(mission: Mission, fact: Fact, event: missions.MissionFailed) -> Mission:
    return _ended(
        mission, fact, MissionStatus.FAILED, GoalStatus.FAILED, failure=event.failure, reason=event.failure.message
    )


def _cancelled(mission: Mission, fact: Fact, event: missions.MissionCancelled) -> Mission:
    mission = _ended(mission, fact, MissionStatus.CANCELLED, GoalStatus.FAILED, reason=event.reason)
    return agenda.put(mission, agenda.STOP, [i for i in sorted(mission.tasks) if not mission.tasks[i].status.ended])


def _ended(mission: Mission, fact: Fact, status: MissionStatus, goal: GoalStatus, **changes: Any) -> Mission:
    if ROOT_GOAL in mission.goals:
        top = replace(mission.goals[ROOT_GOAL], status=goal)
        mission = replace(mission, goals=mission.goals.set(ROOT_GOAL, top))
    return replace(close_all(mission), status=status, ended_at=fact.at, timers=Map(), agenda=Map(), **changes)


def _ready(mission: Mission, fact: Fact, event: tasks.TaskReady) -> Mission:
    task = mission.tasks[event.task]
    fresh = task.status in (TaskStatus.WAITING, TaskStatus.RETRYING) and event.attempt > task.attempt
    if not fresh or task.spec.settle is not None or not _open(mission):
        return mission  # said before, or too late: another replica has just recorded the end
    first = task.started_at is None
    task = replace(
        task,
        status=TaskStatus.READY,
        attempt=event.attempt,
        verdict=None,
        finished=None,
        started_at=task.started_at or fact.at,
    )
    after = mission.tasks.set(event.task, task)
    mission = agenda.forget(mission, (agenda.FREE,), (agenda.FREE, agenda.BARRIER), event.task, tasks=after)
    mission = touch_goal(mission, task.spec.goal, fact.at)
    return stop_rest(count_begin(mission, event.task, fact.at), event.task) if first else mission


def _retried(mission: Mission, fact: Fact, event: tasks.TaskRetried) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.READY or event.attempt <= task.attempt:
        return mission  # said before, or too late
    task = replace(
        task,
        status=TaskStatus.RETRYING,
        verdict=None,
        failure=event.failure,
        # A rule bounds by itself how often it is followed.
        forgiven=task.forgiven + (event.failure.code in UNCOUNTED or bool(event.recovery)),
        recovered=(*task.recovered, event.rule) if event.recovery else task.recovered,
        feedback=event.feedback,
        advice="",
        parts=(),
        skill=event.skill or task.skill,
    )
    if event.recovery == "roll_back" and task.handed is not None:  # back to before it was handed on, too
        task = replace(task, skill=event.skill, handed=None)
    mission = agenda.take(mission, agenda.JUDGED, event.task)
    mission = replace(mission, tasks=mission.tasks.set(event.task, task))
    return agenda.set_timer(mission, agenda.FREE, event.task, event.not_before)


def _asked(mission: Mission, fact: Fact, event: tasks.TaskAsked) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.READY or event.attempt != task.attempt:
        return mission
    recovered = (*task.recovered, event.rule)
    task = replace(task, status=TaskStatus.ASKING, recovered=recovered, feedback=event.feedback, reason=event.question)
    mission = agenda.take(mission, agenda.JUDGED, event.task)
    return replace(mission, tasks=mission.tasks.set(event.task, task))


def _answered(mission: Mission, fact: Fact, event: tasks.TaskAnswered) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.ASKING or event.attempt != task.attempt:
        return mission
    task = replace(task, answers=(*task.answers, fact.cause))
    if event.decision == "fail":
        failure = task.verdict.failure if task.verdict else None
        failure = failure or Failure(code="violated", message=task.reason)
        final = replace(task, status=TaskStatus.READY, verdict=Verdict(failure.model_copy(update={"retryable": False})))
        return agenda.put(replace(mission, tasks=mission.tasks.set(event.task, final)), agenda.JUDGED, [event.task])
    task = replace(
        task, status=TaskStatus.RETRYING, verdict=None, advice=event.advice, reason="", forgiven=task.forgiven + 1
    )
    mission = replace(mission, tasks=mission.tasks.set(event.task, task))
    return agenda.set_timer(mission, agenda.FREE, event.task, fact.at)


def _tripped(mission: Mission, fact: Fact, event: worlds.WorldTripped) -> Mission:
    if event.spent:
        spent = reached(mission.limits, event.spent)
        if not spent:
            return mission  # more was allowed before its author knew
        mission = replace(mission, exhausted={**mission.exhausted, **spent})
    if mission.status is not MissionStatus.RUNNING:
        return mission
    return agenda.put(mission, agenda.TRIPPED, [event.reason])


def _task_succeeded(mission: Mission, fact: Fact, event: tasks.TaskSucceeded) -> Mission:
    return end_task(mission, event.task, TaskStatus.SUCCEEDED, fact.at)


def _task_adopted(mission: Mission, fact: Fact, event: tasks.TaskAdopted) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.WAITING or not _open(mission):
        return mission  # said before, or too late
    finished = attempts.AttemptFinished(
        task=event.task,
        attempt=event.attempt,
        worker=event.worker,
        outcome="succeeded" if event.failure is None else "failed",
        output=event.output,
        product=event.product,
        observation=event.observation,
        failure=event.failure,
    )
    task = replace(task, attempt=event.attempt, finished=finished, started_at=fact.at, adopted=event.origin)
    mission = replace(mission, tasks=mission.tasks.set(event.task, task))
    if event.origin_task in mission.recorded:  # a result counts once
        mission = replace(mission, recorded=mission.recorded.delete(event.origin_task))
    mission = touch_goal(mission, task.spec.goal, fact.at)
    mission = stop_rest(count_begin(mission, event.task, fact.at), event.task)
    status = TaskStatus.SUCCEEDED if event.failure is None else TaskStatus.FAILED
    return end_task(mission, event.task, status, fact.at, failure=event.failure)


def _task_failed(mission: Mission, fact: Fact, event: tasks.TaskFailed) -> Mission:
    return end_task(mission, event.task, TaskStatus.FAILED, fact.at, failure=event.failure)


def _task_skipped(mission: Mission, fact: Fact, event: tasks.TaskSkipped) -> Mission:
    return end_task(mission, event.task, TaskStatus.SKIPPED, fact.at, reason=event.reason)


def _task_cancelled(mission: Mission, fact: Fact, event: tasks.TaskCancelled) -> Mission:
    return end_task(mission, event.task, TaskStatus.CANCELLED, fact.at, reason=event.reason)


def _goal_achieved(mission: Mission, fact: Fact, event: goals.GoalAchieved) -> Mission:
    goal = replace(mission.goals[event.goal], status=GoalStatus.ACHIEVED)
    mission = replace(mission, goals=mission.goals.set(event.goal, goal))
    mission = agenda.drop_timer(mission, agenda.GOAL, event.goal)
    return agenda.take(mission, agenda.GOAL, event.goal)


def _goal_failed(mission: Mission, fact: Fact, event: goals.GoalFailed) -> Mission:
    goal = replace(mission.goals[event.goal], status=GoalStatus.FAILED, failure=event.failure)
    mission = replace(mission, goals=mission.goals.set(event.goal, goal))
    mission = agenda.drop_timer(agenda.take(mission, agenda.GOAL, event.goal), agenda.GOAL, event.goal)
    open_tasks = [i for i in graph.below(mission, event.goal) if not mission.tasks[i].status.ended]
    mission = give_up_groups(agenda.put(mission, agenda.STOP, open_tasks), event.goal)
    parent = goal.spec.parent
    if goal.spec.optional or parent is None:
        return mission
    upper = mission.goals[parent]
    mission = replace(mission, goals=mission.goals.set(parent, replace(upper, failures=upper.failures + 1)))
    return report(mission, parent)


_FOLDS: dict[type[Payload], Callable[[Mission, Fact, Any], Mission]] = {
    missions.MissionSubmitted: _submitted,
    missions.MissionForked: _forked,
    missions.MissionPlanned: _planned,
    missions.MissionExtended: _extended,
    missions.MissionPaused: _paused,
    missions.MissionResumed: _resumed,
    missions.MissionReopened: _reopened,
    missions.MissionCompleted: _completed,
    missions.MissionFailed: _failed,
    missions.MissionCancelled: _cancelled,
    tasks.TaskReady: _ready,
    tasks.TaskRetried: _retried,
    tasks.TaskAsked: _asked,
    tasks.TaskAnswered: _answered,
    tasks.TaskSucceeded: _task_succeeded,
    tasks.TaskAdopted: _task_adopted,
    tasks.TaskFailed: _task_failed,
    tasks.TaskSkipped: _task_skipped,
    tasks.TaskCancelled: _task_cancelled,
    goals.GoalAchieved: _goal_achieved,
    goals.GoalFailed: _goal_failed,
    worlds.WorldTripped: _tripped,
    **REPLANNING,
    **HANDINGS,
    **VERDICTS,
    **BALLOTS,
}
FOLDED_TYPES = tuple(sorted(kind.TYPE for kind in _FOLDS))
