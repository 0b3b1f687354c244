"""Two missions compared: where their events part, which tasks came out differently, and which results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from pydantic import BaseModel, ConfigDict

from events.replay.alignment import Parting, differing, partings, steady
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from stigmergy.missions import MissionView, TaskView
from stigmergy.replaying import Scene, fold, view


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class PartingView(_Shape):
    """An event in which the missions differ. ``a`` and ``b`` are its numbers, from 1; None where it is missing."""

    type: str
    subject: str
    occurrence: int
    a: int | None
    b: int | None
    fields: tuple[str, ...]


class TaskDifference(_Shape):
    """One task; None on the side that does not have it."""

    task: str
    field: str
    a: Any
    b: Any


class Comparison(_Shape):
    """What differs between two missions.

    Attributes:
        same: nothing does.
        first: where they part.
        events: how many events differ or are missing on one side.
        result: paths in the results, with both values.
    """

    a: str
    b: str
    same: bool
    status: tuple[str, str]
    counts: tuple[int, int]
    first: PartingView | None
    events: int
    tasks: tuple[TaskDifference, ...]
    result: tuple[str, ...]


def compare(a: Sequence[Event], b: Sequence[Event]) -> Comparison:
    """Compare the events of two missions, and what they fold to."""
    left, right = _folded(a), _folded(b)
    parted = partings(a, b)
    tasks = tuple(_tasks(left, right))
    result = differing(steady(left.result), steady(right.result), most=50)
    return Comparison(
        a=left.id,
        b=right.id,
        same=not parted and not tasks and not result and left.status == right.status,
        status=(left.status, right.status),
        counts=(len(a), len(b)),
        first=_shown(parted[0]) if parted else None,
        events=len(parted),
        tasks=tasks,
        result=result,
    )


def _folded(events: Sequence[Event]) -> MissionView:
    tenant, mission = (events[0].tenant, events[0].mission) if events else ("", "")
    return view(reduce(fold, events, Scene(Mission(tenant=tenant, id=mission)))).mission


def _shown(parting: Parting) -> PartingView:
    return PartingView(**parting.key._asdict(), a=parting.a, b=parting.b, fields=parting.fields)


def _tasks(left: MissionView, right: MissionView) -> list[TaskDifference]:
    ours, theirs = ({task.id: task for task in view.tasks} for view in (left, right))
    found: list[TaskDifference] = []
    for name in dict.fromkeys([*ours, *theirs]):
        one, other = _facts(ours.get(name)), _facts(theirs.get(name))
        found += [
            TaskDifference(task=name, field=field, a=one.get(field), b=other.get(field))
            for field in one or other
            if one.get(field) != other.get(field)
        ]
    return found


def _facts(task: TaskView | None) -> dict[str, Any]:
    if task is None:
        return {}
    return {"status": task.status, "attempt": task.attempt, "reason": task.reason, "output": steady(task.output)}
