"""From a plan to the indices that make folding cheap: who needs whom, and what lies below which goal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from immutables import Map
from msgspec.structs import replace
from pydantic import BaseModel

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

BAD = (TaskStatus.FAILED, TaskStatus.SKIPPED)
"""Ends of a task that count as failures of its goal."""


class Counts:
    """What is counted below one goal."""

    __slots__ = ("failed", "failures", "pending", "succeeded", "total")

    def __init__(self) -> None:
        self.total = self.pending = self.succeeded = self.failed = self.failures = 0

    def add(self, status: TaskStatus) -> None:
        """One more task."""
        self.total += 1
        if not status.ended:
            self.pending += 1
        elif status is TaskStatus.SUCCEEDED:
            self.succeeded += 1
        else:
            self.failed += 1

    def of(self, goal: GoalState) -> GoalState:
        """The goal with these counts."""
        return replace(goal, **{name: getattr(self, name) for name in self.__slots__})


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
    said = (spec.inputs, spec.workspace, spec.expects, spec.writes, spec.settle)
    return TaskState(spec=spec, refers=any(map(_refers, said)))


def _refers(said: Any) -> bool:
    """Whether a reference may stand in it; to write all of it as JSON first would take four times as long."""
    match said:
        case str():
            return "${" in said
        case dict():
            return any(map(_refers, said)) or any(map(_refers, said.values()))
        case list() | tuple():
            return any(map(_refers, said))
        case BaseModel():
            return any(map(_refers, said.__dict__.values()))
        case _:
            return False


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
    for identifier, (group, _) in mission.branch_of.items():
        pending[group] = pending.get(group, 0) + (not mission.tasks[identifier].status.ended)
    groups = {i: replace(group, pending=pending.get(i, 0)) for i, group in mission.groups.items()}
    # Whole maps at once: setting one after another takes three times as long.
    mission = replace(mission, groups=Map(groups))
    tasks = {i: task if task.status.ended else _with_needs(mission, task) for i, task in mission.tasks.items()}
    groups = {i: _with_needs(mission, group) if may_unfold(group) else group for i, group in groups.items()}
    return replace(mission, tasks=Map(tasks), groups=Map(groups))


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
    """All goals, counted anew."""
    counts = {name: Counts() for name in mission.goals}
    for task in mission.tasks.values():
        if task.spec.id in mission.part_of:
            continue  # the task for which it is done is counted
        paths = mission.goal_path[task.spec.goal]
        for name in paths:
            counts[name].add(task.status)
        if task.status in BAD and not task.spec.member_of and not borne(mission, task.spec.id):
            counts[paths[0]].failures += 1
    for group in mission.groups.values():
        if may_unfold(group):  # its own goal must not end before its branches are known
            for name in mission.goal_path[group.spec.id]:
                counts[name].pending += 1
    for goal in mission.goals.values():
        parent = goal.spec.parent
        if goal.status is GoalStatus.FAILED and not goal.spec.optional and parent is not None:
            counts[parent].failures += 1
    return Map({name: counts[name].of(goal) for name, goal in mission.goals.items()})
