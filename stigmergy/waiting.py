"""What a task that has not begun waits for, in words."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from orchestrator.core.barriers import due_at
from orchestrator.core.mission import Mission, TaskState, TaskStatus

if TYPE_CHECKING:
    from schemas.barriers import Barrier

_NAMED = 3


def waits_for(mission: Mission, task: TaskState) -> str:
    """``1 of 3, wants 2, until 14:03:20 UTC, then 1`` behind a barrier, else the needs that are open.

    Empty for a task that waits for nothing, or has begun.
    """
    if mission.status.ended:
        return ""
    if task.status is TaskStatus.STUCK:
        return "the planner"
    if task.status is TaskStatus.REPLACED:
        return ", ".join(task.parts)
    if task.status is not TaskStatus.WAITING:
        return ""
    if task.spec.barrier is not None:
        return _behind(mission, task, task.spec.barrier)
    still_open = [need for need in task.spec.needs if not _came_about(mission, need)]
    more = f" and {len(still_open) - _NAMED} more" if len(still_open) > _NAMED else ""
    return f"{', '.join(still_open[:_NAMED])}{more}"


def _behind(mission: Mission, task: TaskState, barrier: Barrier) -> str:
    tally = task.tally
    if tally is None:
        return ""
    known = tally.met + tally.lost + tally.open
    total = f"{known} or more" if tally.unknown else str(known)
    wanted = "all" if barrier.at_least is None else str(barrier.at_least)
    said = [f"{tally.met} of {total}, wants {wanted}"]
    if barrier.until_s is not None:
        due = due_at(mission, task)
        when = f"until {due.astimezone(UTC):%H:%M:%S} UTC" if due is not None else f"until {barrier.until_s:g} s later"
        said.append(f"{when}, then {barrier.then_at_least}")
    if tally.lost:
        said.append(f"{tally.lost} lost")
    return ", ".join(said)


def _came_about(mission: Mission, need: str) -> bool:
    if need in mission.tasks:
        return mission.tasks[need].status is TaskStatus.SUCCEEDED
    group = mission.groups[need]
    return group.branches is not None and group.pending == 0
