"""What must hold of a mission after every fact, whatever has happened."""

from __future__ import annotations

from orchestrator.core import graph
from orchestrator.core.mission import GoalState, GoalStatus, Mission, MissionStatus, TaskStatus
from schemas.events import Payload
from schemas.events.mission import MissionCompleted
from schemas.events.task import TaskHandedBack, TaskHandedOver, TaskReady, TaskSucceeded
from schemas.plan import ROOT_GOAL

OPEN = (MissionStatus.RUNNING, MissionStatus.PAUSED)


def check_counters(mission: Mission) -> None:
    """Everything counted up and down equals a recount from scratch, and what can be done is on the agenda."""
    if not mission.goals:
        return
    again = graph.index(mission)
    for name, goal in mission.goals.items():
        assert _counts(goal) == _counts(again.goals[name]), name
    for name, task in mission.tasks.items():
        if not task.status.ended:
            fresh = again.tasks[name]
            assert (task.unmet, bool(task.hopeless)) == (fresh.unmet, bool(fresh.hopeless)), name
    for name, group in mission.groups.items():
        anew = again.groups[name]
        assert (group.unmet, bool(group.hopeless), group.pending) == (anew.unmet, bool(anew.hopeless), anew.pending)
    if mission.status in OPEN:
        assert set(again.agenda) == set(mission.agenda)


def _counts(goal: GoalState) -> tuple[int, ...]:
    return goal.pending, goal.total, goal.succeeded, goal.failed, goal.failures


def check_step(before: Mission, payload: Payload) -> None:
    """Whether the fact may be decided in the state before it."""
    match payload:
        case TaskReady():
            _check_ready(before, payload)
        case TaskSucceeded():
            task = before.tasks[payload.task]
            assert task.status is TaskStatus.READY
            assert task.attempt == payload.attempt
            assert task.verdict is not None
            assert task.verdict.failure is None
            assert task.finished is not None
            assert task.finished.outcome == "succeeded"
        case TaskHandedOver() | TaskHandedBack():
            _check_handed(before, payload)
        case MissionCompleted():
            _check_completed(before)


def _check_handed(before: Mission, event: TaskHandedOver | TaskHandedBack) -> None:
    """A task is handed on after a confirmed offer, within its bound, and comes back to whoever offered it."""
    task = before.tasks[event.task]
    assert task.status is TaskStatus.READY
    assert event.attempt == task.attempt + 1
    assert task.verdict is not None
    assert event.number <= task.spec.hand_off.most + 1
    if task.verdict.failure is None:
        assert task.finished is not None
        assert task.finished.is_offer
        assert event.number == task.offers + 1
    else:
        assert isinstance(event, TaskHandedBack)
        assert task.handed is not None
        assert event.skill == task.handed.skill
    if isinstance(event, TaskHandedOver):
        assert event.number <= task.spec.hand_off.most
        assert task.spec.hand_off.to is None or event.skill in (*task.spec.hand_off.to, task.spec.skill)


def _check_ready(before: Mission, event: TaskReady) -> None:
    task = before.tasks[event.task]
    assert event.handed == task.handed
    if task.handed is not None and not any(rule.do == "other_agent" for rule in task.spec.recover):
        last = task.handed.turns[-1]
        assert event.skill == (last.skill if task.handed.returned else last.to)
    assert before.status is MissionStatus.RUNNING
    assert task.status in (TaskStatus.WAITING, TaskStatus.RETRYING)
    assert event.attempt == task.attempt + 1
    assert event.attempt - task.forgiven <= task.spec.retry.max_attempts
    for name in before.goal_path[task.spec.goal]:
        assert before.goals[name].status is GoalStatus.OPEN, name
    for need in task.spec.needs:
        if need in before.tasks:
            assert before.tasks[need].status is TaskStatus.SUCCEEDED, need
        else:
            group = before.groups[need]
            assert group.branches is not None
            mine = [name for name, (owner, _) in before.branch_of.items() if owner == need]
            assert all(before.tasks[name].status.ended for name in mine)


def _check_completed(before: Mission) -> None:
    assert all(task.status.ended for task in before.tasks.values())
    assert all(group.branches is not None or group.given_up for group in before.groups.values())
    for name, goal in before.goals.items():
        assert name == ROOT_GOAL or goal.status is not GoalStatus.OPEN, name
        direct = [task for task in before.tasks.values() if task.spec.goal == name]
        bad = sum(task.status in (TaskStatus.FAILED, TaskStatus.SKIPPED) for task in direct)
        children = [g for g in before.goals.values() if g.spec.parent == name and not g.spec.optional]
        bad += sum(child.status is GoalStatus.FAILED for child in children)
        if name == ROOT_GOAL or goal.status is GoalStatus.ACHIEVED:
            assert bad <= goal.spec.error_threshold, name
            assert not any(task.status is TaskStatus.CANCELLED for task in direct), name
