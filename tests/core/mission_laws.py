"""What must hold of a mission after every fact, whatever has happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from orchestrator.core import agenda, graph
from orchestrator.core.mission import GoalState, GoalStatus, Mission, MissionStatus, TaskStatus
from schemas.barriers import Barrier
from schemas.events import Payload
from schemas.events.mission import MissionCompleted, MissionExtended
from schemas.events.task import TaskHandedBack, TaskHandedOver, TaskReady, TaskSucceeded
from schemas.plan import ROOT_GOAL, Group, TaskSpec

NOBODY = "no longer needed"
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
            assert task.tally == fresh.tally, name
    for name, group in mission.groups.items():
        anew = again.groups[name]
        assert (group.unmet, bool(group.hopeless), group.pending) == (anew.unmet, bool(anew.hopeless), anew.pending)
        assert group.tally == anew.tally or group.branches is not None, name
    for part, owner in mission.part_of.items():
        stands = mission.tasks[owner].status is TaskStatus.REPLACED and part in mission.tasks[owner].parts
        stopped = mission.status.ended or (agenda.STOP, part) in mission.agenda
        assert stands or stopped or mission.tasks[part].status.ended, f"{part} is done for nobody"
    if mission.status in OPEN:
        assert set(again.agenda) == set(mission.agenda)
        assert _barrier_timers(again) == _barrier_timers(mission)


def _counts(goal: GoalState) -> tuple[int, ...]:
    return goal.pending, goal.total, goal.succeeded, goal.failed, goal.failures


def _barrier_timers(mission: Mission) -> dict[tuple[str, str], datetime]:
    return {key: due for key, due in mission.timers.items() if key[0] == agenda.BARRIER}


def check_step(before: Mission, payload: Payload, now: datetime) -> None:
    """Whether the fact may be decided in the state before it."""
    match payload:
        case TaskReady():
            _check_ready(before, payload, now)
        case MissionExtended():
            spec = before.groups[payload.group].spec
            assert spec.barrier is None or _may_begin(before, spec, spec.barrier, now)
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


def _check_ready(before: Mission, event: TaskReady, now: datetime) -> None:
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
    if task.spec.barrier is not None:
        assert event.attempt > 1 or _may_begin(before, task.spec, task.spec.barrier, now)
        had = [unit for unit, end in _ends(before, task.spec.needs) if end == "good"]
        assert list(event.needs_met) == had == event.inputs.get("had", had)
        return
    owner = before.part_of.get(event.task)
    assert owner is None or before.tasks[owner].status is TaskStatus.REPLACED, "a part whose task goes another way"
    for need in task.spec.needs:
        if need in before.tasks:
            assert before.tasks[need].status is TaskStatus.SUCCEEDED, need
            assert all(before.tasks[part].status.ended for part in before.tasks[need].parts[-1:]), need
        else:
            group = before.groups[need]
            assert group.branches is not None
            mine = [name for name, (owner, _) in before.branch_of.items() if owner == need]
            assert all(before.tasks[name].status.ended for name in mine)


def _may_begin(before: Mission, spec: TaskSpec | Group, barrier: Barrier, now: datetime) -> bool:
    """Said once more, from the states of tasks alone."""
    ends = [end for _, end in _ends(before, spec.needs)]
    good, going = ends.count("good"), ends.count("open")
    if good >= (barrier.at_least or len(ends)) and (barrier.at_least is not None or not going):
        return True
    if barrier.until_s is None or good < barrier.then_at_least:
        return False
    return going == 0 or _passed(before, spec, barrier, now)


def _passed(before: Mission, spec: TaskSpec | Group, barrier: Barrier, now: datetime) -> bool:
    assert barrier.until_s is not None
    since = [before.tasks[n].started_at if n in before.tasks else before.goals[n].begun_at for n in spec.needs]
    if barrier.since == "mission":
        since = [before.goals[ROOT_GOAL].begun_at]
    first = min((at for at in since if at is not None), default=None)
    return first is not None and (now - first).total_seconds() >= barrier.until_s


def _ends(before: Mission, needs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for need in needs:
        if need in before.tasks:
            yield need, _end([before.tasks[need].status])
            continue
        group = before.groups[need]
        if group.branches is None:
            yield need, "bad" if group.given_up else "open"
        for branch in group.branches or ():
            tasks = [before.tasks[f"{need}.{branch}.{spec.id}"] for spec in group.spec.tasks]
            going = any(not task.status.ended for task in tasks)
            yield f"{need}.{branch}", "open" if going else _end([t.status for t in tasks if not t.spec.member_of])


def _end(statuses: list[TaskStatus]) -> str:
    if not all(status.ended for status in statuses):
        return "open"
    return "good" if all(status is TaskStatus.SUCCEEDED for status in statuses) else "bad"


def _check_completed(before: Mission) -> None:
    assert all(task.status.ended for task in before.tasks.values())
    assert all(group.branches is not None or group.given_up for group in before.groups.values())
    for name, goal in before.goals.items():
        assert name == ROOT_GOAL or goal.status is not GoalStatus.OPEN, name
        planned = [t for t in before.tasks.values() if t.spec.id not in before.part_of and not t.spec.member_of]
        direct = [t for t in planned if t.spec.goal == name]
        bad = sum(
            task.status in (TaskStatus.FAILED, TaskStatus.SKIPPED) and not graph.borne(before, task.spec.id)
            for task in direct
        )
        children = [g for g in before.goals.values() if g.spec.parent == name and not g.spec.optional]
        bad += sum(child.status is GoalStatus.FAILED for child in children)
        if name == ROOT_GOAL or goal.status is GoalStatus.ACHIEVED:
            assert bad <= goal.spec.error_threshold, name
            cancelled = [task for task in direct if task.status is TaskStatus.CANCELLED]
            assert all("has begun without it" in task.reason or task.reason == NOBODY for task in cancelled), name
