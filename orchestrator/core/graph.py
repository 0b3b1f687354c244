"""From a plan to the indices that make folding cheap: who needs whom, and what lies below which goal."""

from __future__ import annotations

from collections.abc import Iterable

from immutables import Map
from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.barriers import settle, tally_of, with_tally
from orchestrator.core.choosing import may_go
from orchestrator.core.mission import (
    GoalState,
    GoalStatus,
    GroupState,
    Mission,
    TaskState,
    TaskStatus,
)
from schemas.plan import ROOT_GOAL, GoalSpec, Group, Plan, TaskSpec


def index(mission: Mission) -> Mission:
    """Recompute all indices, goal progress and the agenda of free nodes. Linear in the size of the plan.

    Called when the graph changes (planned, extended, reopened); everything between is counted up and down.
    """
    mission = replace(mission, dependents=_dependents(mission), goal_path=_goal_paths(mission.goals))
    mission = replace(mission, goals=_progress(mission))
    mission = _settle_needs(mission)
    free = [i for i, task in mission.tasks.items() if _is_free(mission, task)]
    unfold = [i for i, group in mission.groups.items() if may_unfold(group) and settled(group)]
    goals = [i for i, goal in mission.goals.items() if goal.status is GoalStatus.OPEN and goal_may_end(goal)]
    # immutables iterate in no promised order, and two orchestrators should decide alike.
    mission = agenda.put(mission, agenda.FREE, sorted(free))
    mission = agenda.put(mission, agenda.UNFOLD, sorted(unfold))
    mission = settle_barriers(mission)
    paths = mission.goal_path  # the deepest first: how a goal ends matters to the one above
    return agenda.put(mission, agenda.GOAL, sorted(goals, key=lambda name: (-len(paths[name]), name)))


def settled(node: TaskState | GroupState) -> bool:
    """Whether it is known if the node can run; :func:`barriers.settle` knows it of those behind barriers."""
    return node.tally is None and (node.unmet == 0 or bool(node.hopeless))


def borne(mission: Mission, task: str) -> bool:
    """Whether nothing but barriers waits for a task: what its failure means is for them to say, not for its goal."""
    users = mission.dependents.get(task, ())
    return bool(users) and all((mission.tasks.get(u) or mission.groups[u]).spec.barrier is not None for u in users)


def borne_groups(plan: Plan) -> frozenset[str]:
    """The groups of a plan for which nothing but barriers waits."""
    nodes: list[TaskSpec | Group] = [*plan.tasks, *plan.groups]
    patient = {need for node in nodes if node.barrier is not None for need in node.needs}
    strict = {need for node in nodes if node.barrier is None for need in node.needs}
    return frozenset(group.id for group in plan.groups if group.id in patient - strict)


def settle_barriers(mission: Mission) -> Mission:
    """Look at every node behind a barrier: whether it can begin, and when."""
    behind = [i for i, task in mission.tasks.items() if task.tally is not None]
    behind += [i for i, group in mission.groups.items() if group.tally is not None]
    for name in sorted(behind):
        mission = settle(mission, name)
    return mission


def _is_free(mission: Mission, task: TaskState) -> bool:
    return task.status is TaskStatus.WAITING and settled(task) and may_go(mission, task)


def may_unfold(group: GroupState) -> bool:
    """Whether the branches of the group are still to come."""
    return group.branches is None and not group.given_up


def goal_may_end(goal: GoalState) -> bool:
    """Whether the goal has nothing left to do, or has failed more than it may."""
    return goal.pending == 0 or goal.failures > goal.spec.error_threshold


def new_task(spec: TaskSpec) -> TaskState:
    """A task that has not begun."""
    said = spec.inputs or spec.workspace or spec.expects or spec.writes or spec.settle
    fields = {"inputs", "workspace", "expects", "writes", "settle"}
    return TaskState(spec=spec, refers=bool(said) and "${" in spec.model_dump_json(include=fields))


def root(deadline_s: float | None) -> GoalSpec:
    """The mission itself, as the goal above all others."""
    return GoalSpec(id=ROOT_GOAL, parent=None, deadline_s=deadline_s)


def below(mission: Mission, goal: str) -> Iterable[str]:
    """The tasks of a goal and of all goals below it, in a stable order."""
    return sorted(i for i, task in mission.tasks.items() if goal in mission.goal_path[task.spec.goal])


def _dependents(mission: Mission) -> Map[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for identifier, task in mission.tasks.items():
        for need in task.spec.needs:
            found.setdefault(need, []).append(identifier)
    for identifier, group in mission.groups.items():
        for need in group.spec.needs:
            found.setdefault(need, []).append(identifier)
    return Map({need: tuple(sorted(who)) for need, who in found.items()})


def _goal_paths(goals: Map[str, GoalState]) -> Map[str, tuple[str, ...]]:
    paths: dict[str, tuple[str, ...]] = {}
    for identifier in goals:
        path: list[str] = []
        current: str | None = identifier
        while current is not None:
            path.append(current)
            current = goals[current].spec.parent
        paths[identifier] = tuple(path)
    return Map(paths)


def _settle_needs(mission: Mission) -> Mission:
    pending: dict[str, int] = {}
    for identifier, task in mission.tasks.items():
        if not task.status.ended and identifier in mission.branch_of:
            group = mission.branch_of[identifier][0]
            pending[group] = pending.get(group, 0) + 1
    groups = mission.groups
    for identifier, group_state in mission.groups.items():
        groups = groups.set(identifier, replace(group_state, pending=pending.get(identifier, 0)))
    mission = replace(mission, groups=groups)
    tasks = mission.tasks
    for identifier, task in mission.tasks.items():
        if not task.status.ended:
            tasks = tasks.set(identifier, _with_needs(mission, task))
    for identifier, group_state in mission.groups.items():
        if may_unfold(group_state):
            groups = groups.set(identifier, _with_needs(mission, group_state))
    return replace(mission, tasks=tasks, groups=groups)


def _with_needs[Node: (TaskState, GroupState)](mission: Mission, node: Node) -> Node:
    tally = tally_of(mission, node.spec)
    if tally is not None:
        return with_tally(node, tally)
    unmet, hopeless = _needs(mission, node.spec.needs)
    return replace(node, unmet=unmet, hopeless=hopeless)


def _needs(mission: Mission, needs: Iterable[str]) -> tuple[int, str]:
    unmet, hopeless = 0, ""
    for need in needs:
        if (task := mission.tasks.get(need)) is not None:
            unmet += task.status is not TaskStatus.SUCCEEDED
            if task.status.ended and task.status is not TaskStatus.SUCCEEDED:
                hopeless = hopeless or f"{need} {task.status.value}"
        else:
            group = mission.groups[need]
            unmet += group.branches is None or group.pending > 0
            if group.given_up:
                hopeless = hopeless or f"{need} failed"
    return unmet, hopeless


def _progress(mission: Mission) -> Map[str, GoalState]:
    goals = {i: replace(g, pending=0, total=0, succeeded=0, failed=0, failures=0) for i, g in mission.goals.items()}
    for task in mission.tasks.values():
        if task.spec.id in mission.part_of:
            continue  # the task for which it is done is counted
        for depth, goal in enumerate(mission.goal_path[task.spec.goal]):
            direct = depth == 0 and not task.spec.member_of and not borne(mission, task.spec.id)
            goals[goal] = count(goals[goal], task.status, direct=direct)
    for group in mission.groups.values():
        if may_unfold(group):  # its own goal must not end before its branches are known
            for goal in mission.goal_path[group.spec.id]:
                goals[goal] = replace(goals[goal], pending=goals[goal].pending + 1)
    for state in list(goals.values()):
        parent = state.spec.parent
        if state.status is GoalStatus.FAILED and not state.spec.optional and parent is not None:
            goals[parent] = replace(goals[parent], failures=goals[parent].failures + 1)
    return Map(goals)


def count(goal: GoalState, status: TaskStatus, *, direct: bool) -> GoalState:
    """The goal with one more task of this status below it; ``direct``: whether its failure is the goal's."""
    bad = status in (TaskStatus.FAILED, TaskStatus.SKIPPED)
    lost = bad or status is TaskStatus.CANCELLED
    return replace(
        goal,
        total=goal.total + 1,
        pending=goal.pending + (not status.ended),
        succeeded=goal.succeeded + (status is TaskStatus.SUCCEEDED),
        failed=goal.failed + lost,
        failures=goal.failures + (bad and direct),
    )
