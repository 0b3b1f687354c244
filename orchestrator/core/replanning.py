"""Doing other tasks instead of one that got stuck: what the planner answered, as facts, and how they are folded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from immutables import Map
from msgspec.structs import replace

from orchestrator.core import agenda, graph
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from orchestrator.core.parts import may_be_replaced
from orchestrator.core.unfold import LONGEST_ID
from schemas.errors import InvalidWorkflow
from schemas.events import Payload
from schemas.events.task import TaskFailed, TaskReplanned, TaskStuck
from schemas.plan import TaskSpec

MOST_PARTS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def stuck_tasks(mission: Mission) -> list[str]:
    """The tasks that wait for the planner, those first that have waited longest."""
    return [task for kind, task in agenda.in_order(mission) if kind == agenda.REPLAN]


def replanned(mission: Mission, task: TaskState, instead: Sequence[TaskSpec], by: str) -> TaskReplanned:
    """The fact that these tasks are done instead.

    Args:
        instead: under short names; their needs name one another.
        by: the planner.

    Raises:
        InvalidWorkflow: they are no task graph with one end, or cannot be named.
    """
    prefix = f"{task.spec.id}~{task.rounds + 1}."
    end = sole_end(instead)
    too_long = next((one.id for one in instead if len(prefix + one.id) > LONGEST_ID), None)
    if too_long is not None:
        raise InvalidWorkflow(f"the task id {prefix + too_long!r} has more than {LONGEST_ID} characters")
    taken = next(
        (one.id for one in instead if prefix + one.id in mission.tasks or prefix + one.id in mission.groups), None
    )
    if taken is not None:
        raise InvalidWorkflow(f"there is a task {prefix + taken!r} already")
    parts = tuple(
        one.model_copy(
            update={
                "id": prefix + one.id,
                "needs": tuple(prefix + need for need in one.needs),
                "goal": task.spec.goal,
            }
        )
        for one in instead
    )
    return TaskReplanned(task=task.spec.id, attempt=task.attempt, tasks=parts, end=prefix + end, by=by)


def no_way(task: TaskState, by: str, why: str) -> TaskFailed:
    """The fact that follows when the planner knows nothing to do instead."""
    assert task.failure is not None
    message = f"{task.failure.message}; the planner {by} {why}"
    return TaskFailed(
        task=task.spec.id, attempt=task.attempt, failure=task.failure.model_copy(update={"message": message})
    )


def sole_end(tasks: Sequence[TaskSpec]) -> str:
    """The id of the one task that needs, directly or through others, all the others.

    Raises:
        InvalidWorkflow: there is none or several, or these are no task graph.
    """
    if not 0 < len(tasks) <= MOST_PARTS:
        raise InvalidWorkflow(f"{len(tasks)} tasks instead of one; at least one, and at most {MOST_PARTS} may be")
    needs = {task.id: task.needs for task in tasks}
    if len(needs) < len(tasks):
        raise InvalidWorkflow("two of the tasks have the same id")
    for task in tasks:
        if not _NAME.fullmatch(task.id):
            raise InvalidWorkflow(f"{task.id!r} cannot be a name", hint="use letters, digits, '-' and '_'")
        unknown = [need for need in task.needs if need not in needs]
        if unknown:
            raise InvalidWorkflow(f"{task.id!r} needs {unknown[0]!r}, which is none of them")
        if task.barrier is not None:
            raise InvalidWorkflow(f"{task.id!r} stands behind a barrier, which tasks that are done instead cannot")
    ends = ends_of(needs)
    if len(ends) != 1:
        raise InvalidWorkflow(
            f"{len(ends)} of them are needed by no other: {', '.join(ends)}",
            hint="one has to need all the others: what it comes to is what the task comes to",
        )
    return ends[0]


def ends_of(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The names that no other needs. Raises :class:`InvalidWorkflow` for a cycle."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise InvalidWorkflow(f"a cycle, in which each needs the next: {' -> '.join(error.args[1])}") from error
    return sorted(needs.keys() - {need for wanted in needs.values() for need in wanted})


def _stuck(mission: Mission, fact: Fact, event: TaskStuck) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.READY or event.attempt != task.attempt or mission.status.ended:
        return mission
    task = replace(
        task,
        status=TaskStatus.STUCK,
        recovered=(*task.recovered, event.rule),
        feedback=event.feedback,
        failure=event.failure,
        reason=event.failure.message,
    )
    mission = agenda.take(mission, agenda.JUDGED, event.task)
    return agenda.put(replace(mission, tasks=mission.tasks.set(event.task, task)), agenda.REPLAN, [event.task])


def _replanned(mission: Mission, fact: Fact, event: TaskReplanned) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.STUCK or event.attempt != task.attempt or not _fits(mission, task, event):
        return mission
    names = tuple(spec.id for spec in event.tasks)
    parts = {spec.id: replace(graph.new_task(spec), feedback=task.feedback) for spec in event.tasks}
    task = replace(task, status=TaskStatus.REPLACED, rounds=task.rounds + 1, parts=names, end=event.end)
    mission = agenda.take(mission, agenda.REPLAN, event.task)
    tasks: Map[str, TaskState] = mission.tasks.update({**parts, event.task: task})
    part_of = mission.part_of.update(dict.fromkeys(names, event.task))
    return graph.index(replace(mission, tasks=tasks, part_of=part_of))


def _fits(mission: Mission, task: TaskState, event: TaskReplanned) -> bool:
    """Whether these can be done instead: folding must never fail, whatever somebody has put on the bus."""
    prefix = f"{task.spec.id}~{task.rounds + 1}."
    if mission.status.ended or not may_be_replaced(mission, event.task):
        return False
    if not all(spec.id.startswith(prefix) and spec.goal == task.spec.goal for spec in event.tasks):
        return False
    if any(spec.id in mission.tasks or spec.id in mission.groups for spec in event.tasks):
        return False
    short = [
        spec.model_copy(
            update={
                "id": spec.id.removeprefix(prefix),
                "needs": tuple(need.removeprefix(prefix) for need in spec.needs if need.startswith(prefix)),
            }
        )
        for spec in event.tasks
    ]
    if any(len(one.needs) < len(spec.needs) for one, spec in zip(short, event.tasks, strict=True)):
        return False
    try:
        return prefix + sole_end(short) == event.end
    except InvalidWorkflow:
        return False


REPLANNING: Mapping[type[Payload], Callable[[Mission, Fact, Any], Mission]] = {
    TaskStuck: _stuck,
    TaskReplanned: _replanned,
}
"""Event type to how it is folded."""
