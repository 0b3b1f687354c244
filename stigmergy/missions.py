"""Missions as people look at them: folded from the log, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from events.port import Log, Window
from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.folding import fact_to_fold
from orchestrator.core.mission import BallotState, Mission, MissionStatus, TaskState
from schemas.attempts import Death, Failure
from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent, InvalidInput
from schemas.events import parse
from schemas.events.mission import MissionSubmitted
from schemas.events.spending import SPENDING, spent_after
from schemas.handoff import Turn
from schemas.plan import ROOT_GOAL, Strategy
from schemas.subjects import mission_filter
from stigmergy.waiting import waits_for

_STATUS = {
    "mission.submitted": "running",
    "mission.paused": "paused",
    "mission.resumed": "running",
    "mission.reopened": "running",
    "mission.completed": "completed",
    "mission.failed": "failed",
    "mission.cancelled": "cancelled",
}
_NOTHING: Mapping[str, float] = MappingProxyType({})
_READ = frozenset((*FOLDED_TYPES, *SPENDING))


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class TaskView(_View):
    """One task, for people and programs. ``cpu_s`` and ``peak_memory_bytes`` are of its last attempt, as seen by the
    system. ``handed``: the turns after which it was handed on, or should have been; ``returned`` why the last offer
    came back."""

    id: str
    skill: str
    title: str
    goal: str
    status: str
    attempt: int
    reason: str
    started_at: datetime | None
    ended_at: datetime | None
    output: dict[str, Any]
    reused_from: str | None = None
    duration_s: float | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    waits_for: str = ""
    deaths: tuple[Death, ...] = ()
    replaced_by: tuple[str, ...] = ()
    part_of: str | None = None
    handed: tuple[Turn, ...] = ()
    returned: str = ""


class GoalView(_View):
    """One goal with its progress, rolled up from below."""

    id: str
    parent: str | None
    title: str
    status: str
    total: int
    succeeded: int
    failed: int
    progress: float


class BallotLine(_View):
    """One ballot in its newest round; :meth:`MissionHandle.ballots` has its votes."""

    id: str
    round: int
    question: str
    status: str
    choice: str
    voted: int
    members: int


class MissionView(_View):
    """One mission as it is at ``sequence``. ``budget``: what it may spend, by unit, and ``spent`` what it has."""

    id: str
    tenant: str
    status: str
    objective: str
    workflow: str
    inputs: dict[str, Any]
    result: dict[str, Any]
    failure: Failure | None
    reason: str
    submitted_at: datetime | None
    ended_at: datetime | None
    sequence: int
    forked_from: str | None = None
    strategy: Strategy | None = None
    goals: tuple[GoalView, ...]
    tasks: tuple[TaskView, ...]
    ballots: tuple[BallotLine, ...] = ()
    budget: dict[str, float] = {}
    spent: dict[str, float] = {}

    @property
    def ended(self) -> bool:
        return MissionStatus(self.status).ended


class MissionRow(_View):
    """One line of a list of missions. ``reason``: why it is paused."""

    id: str
    status: str
    objective: str
    workflow: str
    submitted_at: datetime
    ended_at: datetime | None
    forked_from: str | None = None
    reason: str = ""


class MissionFold:
    """Folds a mission's events as they come."""

    def __init__(self, tenant: str, mission: str) -> None:
        self.state = Mission(tenant=tenant, id=mission)
        self.sequence = 0
        self.spent: dict[str, float] = {}

    def add(self, event: Event) -> None:
        """One more event; what this release cannot read changes nothing.

        Nor does anything before the submission: the stream drops the beginnings of missions that have ended.
        """
        if self.state.status is MissionStatus.NEW and event.type != MissionSubmitted.TYPE:
            return
        self.sequence = max(self.sequence, event.sequence)
        if event.type not in _READ:
            return
        try:
            fact = fact_to_fold(event)
        except InvalidEvent:
            return
        self.state = evolve(self.state, fact)
        self.spent = spent_after(self.spent, fact.payload)

    @property
    def settled(self) -> bool:
        """Whether the mission has ended and so have all its tasks: those of a cancelled one end a moment later."""
        return self.state.status.ended and all(task.status.ended for task in self.state.tasks.values())

    def view(self) -> MissionView:
        """The mission as it is now."""
        return mission_view(self.state, self.sequence, self.spent)


def mission_view(state: Mission, sequence: int, spent: Mapping[str, float] = _NOTHING) -> MissionView:
    """What people and programs see of a folded mission."""
    return MissionView(
        id=state.id,
        tenant=state.tenant,
        status=state.status.value,
        objective=state.objective,
        workflow=state.workflow,
        inputs=state.inputs,
        result=state.result,
        failure=state.failure,
        reason=state.reason,
        submitted_at=state.submitted_at,
        ended_at=state.ended_at,
        sequence=sequence,
        forked_from=str(state.forked_from) if state.forked_from is not None else None,
        strategy=state.plan.strategy,
        goals=_goals(state),
        tasks=tuple(_task(state, state.tasks[name]) for name in _in_plan_order(state)),
        ballots=tuple(_ballot(state.ballots[name]) for name in sorted(state.ballots)),
        budget=state.limits,
        spent=dict(spent),
    )


async def read_mission(log: Log, tenant: str, mission: str) -> MissionView:
    """A mission, folded from its events. Raises :class:`InvalidInput` if the log has none of that id."""
    return await read_whole(log, MissionFold(tenant, mission))


async def read_on(log: Log, fold: MissionFold) -> None:
    """Fold what the log has of the mission beyond what was folded."""
    window = Window((mission_filter(fold.state.tenant, fold.state.id),), first=fold.sequence + 1)
    async for event in log.read(window):
        fold.add(event)


async def read_whole(log: Log, fold: MissionFold) -> MissionView:
    """The mission as it is now, with the rest of its events. Raises :class:`InvalidInput` if the log has none of it."""
    await read_on(log, fold)
    if fold.state.status is MissionStatus.NEW:
        raise await no_mission(log, fold.state.id)
    return fold.view()


async def no_mission(log: Log, mission: str) -> InvalidInput:
    """The error for a mission that the log does not have, or no longer."""
    first = (await log.oldest())[0]
    if first == 1:
        return InvalidInput(f"there is no mission {mission!r}", hint="`stig mission list` shows them")
    return InvalidInput(
        f"the log has no mission {mission!r}; it begins at {first:,}, and what was before is archived",
        hint="`stig mission list` shows those of the log; docs/archive.md says how to read the archive",
    )


async def _all_of(log: Log, window: Window) -> list[Event]:
    return [event async for event in log.read(window)]


async def list_missions(log: Log, tenant: str) -> list[MissionRow]:
    """All missions of a tenant, newest first. Reads a handful of events a mission."""
    rows: dict[str, MissionRow] = {}
    # One filter each: that is what users of a tenant may read by (docs/operations.md).
    windows = [Window((f"events.{tenant}.*.{name}",)) for name in _STATUS]
    found = await asyncio.gather(*(_all_of(log, window) for window in windows))
    for event in sorted((event for events in found for event in events), key=lambda event: event.sequence):
        if event.type == MissionSubmitted.TYPE:
            rows[event.mission] = _row(event)
        elif (row := rows.get(event.mission)) is not None:
            status = _STATUS[event.type]
            ended_at = moment_of(event) if MissionStatus(status).ended else None
            reason = event.data_as_dict().get("reason", "") if status == "paused" else ""
            rows[event.mission] = row.model_copy(update={"status": status, "ended_at": ended_at, "reason": reason})
    return sorted(rows.values(), key=lambda row: row.submitted_at, reverse=True)


def _row(event: Event) -> MissionRow:
    payload = parse(event)
    assert isinstance(payload, MissionSubmitted)
    return MissionRow(
        id=event.mission,
        status="running",
        objective=payload.objective,
        workflow=payload.workflow,
        submitted_at=moment_of(event),
        ended_at=None,
        forked_from=str(payload.forked_from) if payload.forked_from is not None else None,
    )


def _in_plan_order(state: Mission) -> list[str]:
    order = [spec.id for spec in state.plan.tasks]
    for group in state.plan.groups:
        branches: Iterable[str] = state.groups[group.id].branches or ()
        order += [f"{group.id}.{branch}.{spec.id}" for branch in branches for spec in group.tasks]
    begun = {name: task.started_at for name, task in state.tasks.items()}
    parts: dict[str, list[str]] = {}
    for part in sorted(state.part_of):
        parts.setdefault(state.part_of[part], []).append(part)
    place: dict[str, int] = {}
    waiting = [name for name in reversed(order) if name in state.tasks]
    while waiting:  # what is done instead of a task comes right after it
        name = waiting.pop()
        place[name] = len(place)
        waiting += reversed(parts.get(name, ()))
    return sorted(place, key=lambda name: (begun[name] is None, str(begun[name]), place[name]))


def _task(state: Mission, task: TaskState) -> TaskView:
    seen = task.finished.observation if task.finished is not None else None
    return TaskView(
        id=task.spec.id,
        skill=task.skill or task.spec.skill,
        title=task.spec.title,
        goal=task.spec.goal,
        status=task.status.value,
        attempt=task.attempt,
        reason=task.reason,
        started_at=task.started_at,
        ended_at=task.ended_at,
        output=task.finished.output if task.finished is not None else {},
        reused_from=task.adopted or None,
        duration_s=seen.duration_s if seen is not None else None,
        cpu_s=seen.cpu_s if seen is not None else None,
        peak_memory_bytes=seen.peak_memory_bytes if seen is not None else None,
        waits_for=waits_for(state, task),
        deaths=task.deaths,
        replaced_by=task.parts,
        part_of=state.part_of.get(task.spec.id),
        handed=task.handed.turns if task.handed is not None else (),
        returned=task.handed.returned if task.handed is not None else "",
    )


def _ballot(ballot: BallotState) -> BallotLine:
    return BallotLine(
        id=ballot.name,
        round=ballot.round,
        question=ballot.terms.question,
        status=ballot.status,
        choice=ballot.choice,
        voted=len(ballot.votes),
        members=len(ballot.terms.electorate),
    )


def _goals(state: Mission) -> tuple[GoalView, ...]:
    views = [
        GoalView(
            id=name,
            parent=goal.spec.parent,
            title=goal.spec.title or (state.objective if name == ROOT_GOAL else name),
            status=goal.status.value,
            total=goal.total,
            succeeded=goal.succeeded,
            failed=goal.failed,
            progress=round(goal.progress, 4),
        )
        for name, goal in state.goals.items()
    ]
    # Parents before children, siblings as the plan has them; branches of a group by their names.
    place = {goal.id: number for number, goal in enumerate(state.plan.goals)}
    return tuple(
        sorted(views, key=lambda view: (len(state.goal_path[view.id]), place.get(view.id, len(place)), view.id))
    )
