"""Unfolding a group: one branch of tasks for every item, once the items are known."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.core.graph import borne
from orchestrator.core.mission import GroupState, Mission
from orchestrator.core.resolve import group_items
from schemas.errors import InvalidWorkflow
from schemas.events.mission import MissionExtended
from schemas.plan import GoalSpec, Group, TaskSpec

MOST_BRANCHES = 10_000
LONGEST_ID = 100
"""As :data:`schemas.plan.TaskId` has it."""


def unfold(mission: Mission, group: GroupState) -> MissionExtended:
    """The goals and tasks of all branches.

    Raises:
        InvalidWorkflow: the items are no list, or too many, or a branch cannot be named.
    """
    spec = group.spec
    items = group_items(mission, spec)
    if not isinstance(items, list | tuple):
        raise InvalidWorkflow(f"group {spec.id!r} needs a list; {spec.items} is a {type(items).__name__}")
    if len(items) > MOST_BRANCHES:
        raise InvalidWorkflow(f"group {spec.id!r} would have {len(items):,} branches; at most {MOST_BRANCHES:,} may be")
    names = _names(spec, items)
    # What a branch's failure means is for the barriers to say, where nothing else waits for the group.
    optional = spec.optional_branches or borne(mission, spec.id)
    goals = [GoalSpec(id=f"{spec.id}.{name}", title=name, parent=spec.id, optional=optional) for name in names]
    tasks = [_task(spec, name, task) for name in names for task in spec.tasks]
    _check_names(mission, spec, goals, tasks)
    return MissionExtended(
        group=spec.id, branches=tuple(names), items=tuple(items), goals=tuple(goals), tasks=tuple(tasks)
    )


def _check_names(mission: Mission, spec: Group, goals: list[GoalSpec], tasks: list[TaskSpec]) -> None:
    too_long = next((task.id for task in tasks if len(task.id) > LONGEST_ID), None)
    if too_long is not None:
        message = f"group {spec.id!r}: the task id {too_long!r} has {len(too_long)} characters, more than {LONGEST_ID}"
        raise InvalidWorkflow(message, hint="give the group and its tasks shorter ids")
    taken = [task.id for task in tasks if task.id in mission.tasks or task.id in mission.groups]
    taken += [goal.id for goal in goals if goal.id in mission.goals]
    if taken:
        message = f"group {spec.id!r}: a branch would be called {taken[0]!r}, which is there already"
        raise InvalidWorkflow(message, hint="give the group another id")


def _names(spec: Group, items: list[Any] | tuple[Any, ...]) -> list[str]:
    """A name for each branch: the item's key field where it has one, else its number; always unique."""
    names: dict[str, None] = {}
    for number, item in enumerate(items, 1):
        wanted = str(item.get(spec.key, number)) if isinstance(item, dict) else str(item)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-_")[:40] or str(number)
        while name in names:  # another item may be spelt like the name that was made up for this one
            name = f"{name}-{number}"
        names[name] = None
    return list(names)


def _task(spec: Group, branch: str, task: TaskSpec) -> TaskSpec:
    siblings = {other.id for other in spec.tasks}
    needs = tuple(f"{spec.id}.{branch}.{need}" if need in siblings else need for need in task.needs)
    return task.model_copy(
        update={"id": f"{spec.id}.{branch}.{task.id}", "goal": f"{spec.id}.{branch}", "needs": needs}
    )
