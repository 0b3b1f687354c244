"""What a fork would take over and what it would execute, worked out by the same functions that decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from events.replay.alignment import differing
from orchestrator.core.adopting import by_content
from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from orchestrator.recalling import recorded
from schemas.commands import ForkMission
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events.task import TaskAdopted, TaskReady
from stigmergy.wiring import now

Fate = Literal["reused", "changed", "failed", "runs", "later", "not"]
_GIVEN = ("skill", "intent", "inputs", "workspace", "expects")


class TaskFate(BaseModel):
    """What becomes of one task, or of a group that has not unfolded.

    Attributes:
        fate: ``reused``, ``changed`` (taken over with the change), ``failed`` (as it had by the event), ``runs`` (at
            once), ``later`` (depends on what comes of others: reused if it is given the same), ``not`` (never).
        why: in words.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    fate: Fate
    why: str


class ForkPreview(BaseModel):
    """A fork that was not made."""

    model_config = ConfigDict(frozen=True)

    origin: str
    at: int
    status: str
    tasks: tuple[TaskFate, ...]

    def named(self, *fates: Fate) -> list[str]:
        """The tasks with these fates."""
        return [task.task for task in self.tasks if task.fate in fates]


def preview(command: ForkMission, events: Sequence[Event]) -> ForkPreview:
    """Work out what the fork would begin with.

    Args:
        events: all of the origin.

    Raises:
        Refused: the fork would be refused.
    """
    origin = recorded(command.tenant, command.origin, events, command.at)
    moment = now()
    mission = Mission(tenant=command.tenant, id=command.mission)
    payloads: list[Any] = decide(mission, command, moment, origin=origin)
    adopted: dict[str, TaskAdopted] = {}
    ready: dict[str, TaskReady] = {}
    while payloads:
        for payload in payloads:
            mission = evolve(mission, Fact(payload, moment))
            if isinstance(payload, TaskAdopted):
                adopted[payload.task] = payload
            elif isinstance(payload, TaskReady):
                ready[payload.task] = payload
        payloads = advance(mission, moment)
    given = _given(events)
    tasks = [
        TaskFate(task=name, fate=fate, why=why)
        for name, state in sorted(mission.tasks.items())
        for fate, why in [_fate(state, adopted.get(name), ready.get(name), given, command)]
    ]
    tasks += [
        TaskFate(
            task=f"{name}.*", fate="later", why=f"unfolds once {', '.join(group.spec.needs) or 'it can'} has ended"
        )
        for name, group in sorted(mission.groups.items())
        if group.branches is None and not group.given_up
    ]
    return ForkPreview(origin=command.origin, at=command.at, status=mission.status.value, tasks=tuple(tasks))


def _fate(
    state: TaskState,
    adopted: TaskAdopted | None,
    ready: TaskReady | None,
    given: Mapping[str, TaskReady],
    command: ForkMission,
) -> tuple[Fate, str]:
    if adopted is not None:
        if adopted.changed:
            return "changed", "its output is the one that was set"
        if adopted.failure is not None:
            return "failed", f"it had failed by event {command.at}: {adopted.failure.message}"
        moved = f" as {adopted.origin_task}" if adopted.origin_task != adopted.task else ""
        return "reused", f"it was given the same{moved}"
    if ready is not None:
        return "runs", _why_run(ready, given.get(ready.task), command)
    if state.status is TaskStatus.WAITING:
        return "later", "needs what runs anew; reused if it is then given the same"
    return "not", state.reason or state.status.value


def _why_run(ready: TaskReady, before: TaskReady | None, command: ForkMission) -> str:
    if ready.task in command.rerun:
        return "because you ask for it"
    if before is None:
        return "nothing is on record of it"
    one, other = (by_content(each.model_dump(mode="json", include=set(_GIVEN))) for each in (before, ready))
    fields = differing(one, other, most=2)
    return f"it is given otherwise: {'; '.join(fields)}" if fields else "it has no result that may be taken over"


def _given(events: Sequence[Event]) -> dict[str, TaskReady]:
    """Task to what it was given last."""
    found: dict[str, TaskReady] = {}
    for event in events:
        if event.type == TaskReady.TYPE:
            try:
                payload = TaskReady.model_validate(msgspec.json.decode(event.data))
            except (ValueError, InvalidEvent):
                continue  # what this release cannot read was not folded either
            found[payload.task] = payload
    return found
