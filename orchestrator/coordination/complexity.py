"""How complex a plan is, in numbers that are known before it begins. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from orchestrator.core.references import sole_reference
from orchestrator.task_queue.patterns import overlapping
from schemas.plan import Group, Plan, TaskSpec

GUESSED_BRANCHES = 4
"""Branches of a group whose items only become known while the mission runs."""
_MOST_WRITERS = 200

type Pace = Callable[[str], float | None]
"""How long an attempt of a skill takes in seconds; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class Complexity:
    """What is known of a plan.

    Attributes:
        tasks: how many, with the branches of groups as far as they are known, else guessed.
        depth: tasks one after another on the longest way through it.
        width: tasks that can run side by side at most.
        writers: tasks that say which files they will change.
        conflicts: pairs of these that can run side by side and mean the same files.
        input_bytes: of the mission's inputs as JSON.
        expected_s: how long its longest way takes by what its skills took before; None if a skill is new.
        priority: the highest of its tasks.
        deadline_s: how long it may take.
    """

    tasks: int = 0
    depth: int = 0
    width: int = 0
    writers: int = 0
    conflicts: int = 0
    input_bytes: int = 0
    expected_s: float | None = None
    priority: int = 5
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """A task, or a group with all of its branches, on the way through a plan."""

    begins: int
    ends: int
    ready_s: float
    ended_s: float


def complexity(plan: Plan, inputs: Mapping[str, Any], pace: Pace = lambda _skill: None) -> Complexity:
    """Measure a plan that is known to be a task graph. Linear in its size but for the pairs of writers, at most 200.

    Args:
        pace: what is known of skills.
    """
    branches = {group.id: _branches(group, inputs) for group in plan.groups}
    steps, level = _levels(plan, branches, pace)
    tasks = [*plan.tasks, *(task for group in plan.groups for task in group.tasks)]
    known = all(pace(skill) is not None for skill in {task.skill for task in tasks})
    places = _places(plan, steps)
    return Complexity(
        tasks=sum(level.values()),
        depth=max((step.ends for step in steps.values()), default=0),
        width=max(level.values(), default=0),
        writers=sum(bool(task.writes) for task in tasks),
        conflicts=_conflicts(places),
        input_bytes=len(json.dumps(inputs, default=str, ensure_ascii=False).encode(errors="replace")),
        expected_s=max((step.ended_s for step in steps.values()), default=0.0) if known else None,
        priority=max((task.priority for task in tasks), default=5),
        deadline_s=plan.deadline_s,
    )


def _branches(group: Group, inputs: Mapping[str, Any]) -> int:
    reference = sole_reference(group.items)
    steps = reference.steps if reference is not None else ()
    items = inputs.get(str(steps[1])) if len(steps) == 2 and steps[0] == "inputs" else None
    return len(items) if isinstance(items, list) else GUESSED_BRANCHES


def _levels(plan: Plan, branches: Mapping[str, int], pace: Pace) -> tuple[dict[str, _Step], Counter[int]]:
    """Where each node lies: a task begins one level below the deepest that it needs; and how many lie on each level."""
    nodes: dict[str, TaskSpec | Group] = {task.id: task for task in plan.tasks}
    nodes |= {group.id: group for group in plan.groups}
    order = TopologicalSorter({name: [need for need in node.needs if need in nodes] for name, node in nodes.items()})
    steps: dict[str, _Step] = {}
    level: Counter[int] = Counter()
    for name in order.static_order():
        node = nodes[name]
        before = [steps[need] for need in node.needs if need in steps]
        begins, ready_s = max((s.ends for s in before), default=0), max((s.ended_s for s in before), default=0.0)
        if isinstance(node, TaskSpec):
            steps[name] = _Step(begins, begins + 1, ready_s, ready_s + (pace(node.skill) or 0.0))
            level[begins] += 1
            continue
        inner, own = _levels(Plan(tasks=node.tasks), {}, pace)
        deep, long_s = (
            max((s.ends for s in inner.values()), default=0),
            max((s.ended_s for s in inner.values()), default=0),
        )
        steps[name] = _Step(begins, begins + deep, ready_s, ready_s + long_s)
        for depth, count in own.items():
            level[begins + depth] += count * branches[name]
    return steps, level


def _places(plan: Plan, steps: Mapping[str, _Step]) -> list[tuple[int, tuple[str, ...]]]:
    """What tasks outside of groups mean to change, with their level; what a reference will say is not known."""
    found = [(steps[task.id].begins, task.writes) for task in plan.tasks if task.writes]
    return [(level, writes) for level, writes in found if not isinstance(writes, str)][:_MOST_WRITERS]


def _conflicts(places: list[tuple[int, tuple[str, ...]]]) -> int:
    return sum(1 for _ in _clashes(places))


def _clashes(places: list[tuple[int, tuple[str, ...]]]) -> Iterator[None]:
    for number, (level, writes) in enumerate(places):
        for other, others in places[number + 1 :]:
            if other == level and overlapping(writes, others) is not None:
                yield None
