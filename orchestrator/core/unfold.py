"""Unfolding a group: one branch of tasks for every item, once the items are known."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.core.mission import GroupState, Mission
from orchestrator.core.resolve import group_items
from schemas.errors import InvalidWorkflow
from schemas.events.mission import MissionExtended
from schemas.plan import GoalSpec, Group, TaskSpec

MOST_BRANCHES = 10_000


def unfold(mission: Mission, group: GroupState) -> MissionExtended:
    """The goals and tasks of all branches.

    Raises:
        InvalidWorkflow: the items are no list, or too many.
    """
    spec = group.spec
    items = [] if group.hopeless else group_items(mission, spec)
    if not isinstance(items, list | tuple):
        raise InvalidWorkflow(f"group {spec.id!r} needs a list; {spec.items} is a {type(items).__name__}")
    if len(items) > MOST_BRANCHES:
        raise InvalidWorkflow(f"group {spec.id!r} would have {len(items):,} branches; at most {MOST_BRANCHES:,} may be")
    names = _names(spec, items)
    goals = [_goal(spec, name) for name in names]
    tasks = [_task(spec, name, task) for name in names for task in spec.tasks]
    return MissionExtended(
        group=spec.id, branches=tuple(names), items=tuple(items), goals=tuple(goals), tasks=tuple(tasks)
    )


def _names(spec: Group, items: list[Any] | tuple[Any, ...]) -> list[str]:
    """A name for each branch: the item's key field where it has one, else its number; always unique."""
    names: list[str] = []
    for number, item in enumerate(items, 1):
        wanted = str(item.get(spec.key, number)) if isinstance(item, dict) else str(item)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-_")[:40] or str(number)
        names.append(name if name not in names else f"{name}-{number}")
    return names


def _goal(spec: Group, branch: str) -> GoalSpec:
    return GoalSpec(id=f"{spec.id}.{branch}", title=branch, parent=spec.id, optional=spec.optional_branches)


def _task(spec: Group, branch: str, task: TaskSpec) -> TaskSpec:
    siblings = {other.id for other in spec.tasks}
    needs = tuple(f"{spec.id}.{branch}.{need}" if need in siblings else need for need in task.needs)
    return task.model_copy(
        update={"id": f"{spec.id}.{branch}.{task.id}", "goal": f"{spec.id}.{branch}", "needs": needs}
    )
