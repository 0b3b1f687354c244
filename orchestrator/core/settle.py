"""What the end of a task means for everything that hangs on it: dependents, groups, goals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.barriers import LONGEST_S, count_begin, count_end, state_of_branch
from orchestrator.core.choosing import may_go
from orchestrator.core.graph import BAD, borne, goal_may_end, may_unfold, settled
from orchestrator.core.members import member_ended
from orchestrator.core.mission import GoalState, GoalStatus, GroupState, Mission, TaskState, TaskStatus
from orchestrator.core.parts import part_ended, stop_parts
from schemas.attempts import Failure

_ITEMS_OF_TASKS = (agenda.JUDGED, agenda.FREE, agenda.REPLAN, agenda.STOP)
_TIMERS_OF_TASKS = (agenda.FREE, agenda.BARRIER)


def end_task(
    mission: Mission,
    identifier: str,
    status: TaskStatus,
    at: datetime,
    *,
    failure: Failure | None = None,
    reason: str = "",
) -> Mission:
    """The mission after a task has ended; costs as much as the task has dependents and goals above it."""
    task = mission.tasks[identifier]
    if task.status.ended:
        return mission
    reason = reason or (failure.message if failure else "")
    ended = replace(task, status=status, failure=failure, reason=reason, ended_at=at)
    after = mission.tasks.set(identifier, ended)
    mission = agenda.forget(mission, _ITEMS_OF_TASKS, _TIMERS_OF_TASKS, identifier, tasks=after)
    mission = stop_parts(mission, ended) if ended.end else mission
    mission = _count(mission, ended) if identifier not in mission.part_of else mission
    succeeded = status is TaskStatus.SUCCEEDED
    mission = _release(mission, identifier, succeeded=succeeded, why=f"{identifier} {status.value}")
    mission = count_end(mission, identifier, met=succeeded)
    return part_ended(member_ended(_leave_group(mission, identifier), ended), identifier)


def touch_goal(mission: Mission, goal: str, at: datetime) -> Mission:
    """Begin a goal and those above it, and set the timers of their deadlines."""
    for name in mission.goal_path[goal]:
        state = mission.goals[name]
        if state.begun_at is not None:
            break  # what lies above began with it
        mission = replace(mission, goals=mission.goals.set(name, replace(state, begun_at=at)))
        mission = count_begin(mission, name, at) if name in mission.groups else mission
        if state.spec.deadline_s is not None:
            due = at + timedelta(seconds=min(state.spec.deadline_s, LONGEST_S))
            mission = agenda.set_timer(mission, agenda.GOAL, name, due)
    return mission


def report(mission: Mission, goal: str) -> Mission:
    """Put a goal on the agenda if it may have ended."""
    return agenda.put(mission, agenda.GOAL, [goal] if _may_end(mission.goals[goal]) else [])


def _may_end(goal: GoalState) -> bool:
    return goal.status is GoalStatus.OPEN and goal_may_end(goal)


def _count(mission: Mission, task: TaskState) -> Mission:
    succeeded = task.status is TaskStatus.SUCCEEDED
    bad = task.status in BAD and not borne(mission, task.spec.id)
    counted: dict[str, GoalState] = {}
    for depth, name in enumerate(mission.goal_path[task.spec.goal]):
        goal = mission.goals[name]
        counted[name] = replace(
            goal,
            pending=goal.pending - 1,
            succeeded=goal.succeeded + succeeded,
            failed=goal.failed + (not succeeded),
            failures=goal.failures + (bad and depth == 0 and not task.spec.member_of),
        )
    mission = replace(mission, goals=mission.goals.update(counted))
    return agenda.put(mission, agenda.GOAL, [name for name, goal in counted.items() if _may_end(goal)])


def _release(mission: Mission, node: str, *, succeeded: bool, why: str) -> Mission:
    """One need of each dependent is met, or will never be; what waits behind a barrier counts otherwise."""
    tasks, groups = mission.tasks, mission.groups
    free, unfold = [], []
    for name in mission.dependents.get(node, ()):
        if (task := tasks.get(name)) is not None:
            if task.status.ended or task.tally is not None:
                continue  # it ran before this need was reopened, or count_end knows of it
            changed = replace(task, unmet=task.unmet - succeeded, hopeless=task.hopeless or ("" if succeeded else why))
            tasks = tasks.set(name, changed)
            if changed.status is TaskStatus.WAITING and settled(changed) and may_go(mission, changed):
                free.append(name)
        else:
            group = groups[name]
            if group.tally is not None:
                continue
            change = replace(
                group, unmet=group.unmet - succeeded, hopeless=group.hopeless or ("" if succeeded else why)
            )
            groups = groups.set(name, change)
            if may_unfold(change) and settled(change):
                unfold.append(name)
    if tasks is not mission.tasks or groups is not mission.groups:
        mission = replace(mission, tasks=tasks, groups=groups)
    mission = agenda.put(mission, agenda.FREE, free)
    return agenda.put(mission, agenda.UNFOLD, unfold)


def _leave_group(mission: Mission, task: str) -> Mission:
    if task not in mission.branch_of:
        return mission
    name, branch = mission.branch_of[task]
    group = mission.groups[name]
    group = replace(group, pending=group.pending - 1)
    mission = replace(mission, groups=mission.groups.set(name, group))
    if (state := state_of_branch(mission, name, branch)) != "open":
        mission = count_end(mission, name, met=state == "met")
    # A group has come about when all its branches have ended, whichever way: its goal says whether that is good.
    return _release(mission, name, succeeded=True, why="") if group.pending == 0 else mission


def give_up_groups(mission: Mission, goal: str) -> Mission:
    """Groups at or below a failed goal that have not unfolded never will; who needs them cannot run."""
    for identifier in _not_unfolded(mission, goal):
        why = f"{identifier} failed"
        group: GroupState = replace(mission.groups[identifier], given_up=why)
        mission = agenda.take(mission, agenda.UNFOLD, identifier)
        mission = agenda.drop_timer(mission, agenda.BARRIER, identifier)
        mission = replace(mission, groups=mission.groups.set(identifier, group))
        for name in mission.goal_path[identifier]:
            above = mission.goals[name]
            mission = replace(mission, goals=mission.goals.set(name, replace(above, pending=above.pending - 1)))
            mission = report(mission, name)
        mission = _release(mission, identifier, succeeded=False, why=why)
        mission = count_end(mission, identifier, met=False, unknown=True)
    return mission


def _not_unfolded(mission: Mission, goal: str) -> Iterable[str]:
    return sorted(i for i, g in mission.groups.items() if may_unfold(g) and goal in mission.goal_path[i])
