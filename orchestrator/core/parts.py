"""Tasks that are done instead of another one, its *parts*: what their end means for the one that they stand for.

The task itself stays where it is in the graph and ends as its ``end`` does, under its own name. So whatever needs it,
refers to it, counts it or takes it over in a fork need not know of its parts; no goal counts them.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.mission import Mission, TaskState, TaskStatus, Verdict
from schemas.attempts import Failure

MOST_DEEP = 3
"""A part may be replaced by parts in turn, and so on; so often."""


def owners(mission: Mission, task: str) -> Iterator[str]:
    """The task that this one is a part of, the one that that is a part of, and so on."""
    owner = mission.part_of.get(task)
    while owner is not None:
        yield owner
        owner = mission.part_of.get(owner)


def root_owner(mission: Mission, task: str) -> str:
    """The planned task that this one helps to do; itself, for most."""
    for owner in owners(mission, task):
        task = owner
    return task


def prefixes(mission: Mission, task: str) -> tuple[str, ...]:
    """What the ids of tasks begin with that this one can call by their short names; the nearest first."""
    return tuple(f"{one.rpartition('.')[0]}." for one in (task, *owners(mission, task)) if one in mission.part_of)


def may_be_replaced(mission: Mission, task: str) -> bool:
    """Whether there are not too many tasks already of which this one is a part of a part."""
    return sum(1 for _ in owners(mission, task)) < MOST_DEEP


def stop_parts(mission: Mission, task: TaskState) -> Mission:
    """Stop what is still open of what was done instead of a task."""
    return agenda.put(mission, agenda.STOP, [part for part in task.parts if not mission.tasks[part].status.ended])


def part_ended(mission: Mission, name: str) -> Mission:
    """If the end of some parts has ended, judge the task for which it stands."""
    owner = mission.tasks.get(mission.part_of.get(name, ""))
    if owner is None or owner.status is not TaskStatus.REPLACED or owner.end != name:
        return mission
    part = mission.tasks[name]
    owner = replace(owner, status=TaskStatus.READY, end="")
    if part.status is TaskStatus.SUCCEEDED:
        named = {"task": owner.spec.id, "attempt": owner.attempt}
        finished = part.finished.model_copy(update=named) if part.finished is not None else None
        owner = replace(owner, verdict=Verdict(), finished=finished)
    else:
        violations = owner.verdict.violations if owner.verdict is not None else ()
        owner = replace(owner, verdict=Verdict(_why_lost(mission, owner, part), violations))
    mission = replace(mission, tasks=mission.tasks.set(owner.spec.id, owner))
    return agenda.put(stop_parts(mission, owner), agenda.JUDGED, [owner.spec.id])


def _why_lost(mission: Mission, owner: TaskState, end: TaskState) -> Failure:
    """The first failure of a part, after that of the task itself. Doing it all once more would come to the same."""
    failed = [mission.tasks[part] for part in owner.parts if mission.tasks[part].status is TaskStatus.FAILED]
    first = min(failed, key=lambda task: (str(task.ended_at), task.spec.id), default=end)
    said = f"{first.spec.id} {first.status.value}: {first.reason}"
    before = f"{owner.failure.message}; " if owner.failure is not None else ""
    failure = owner.failure or Failure(code=first.status.value, message=said)
    return failure.model_copy(update={"message": f"{before}another way was tried, and {said}", "retryable": False})
