"""The fold: ``evolve(world, event)``. Pure: no clock, no store. What does not count leaves the world as it is.

Decisions are the orchestrator's; here they are only followed. The word of an attempt changes nothing until the
task-queue manager has confirmed it: files are those of confirmed attempts, and what a superseded attempt says late is
passed over. Types that this release does not know, and data that do not fit, change nothing and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from projections.world import budgets, fleet, tasks, workspaces
from projections.world.state import Mission, MissionState, TaskState, TaskStatus, World, bounded
from projections.world.suites import tested
from schemas.envelope import NO_MISSION, Event
from schemas.errors import InvalidEvent
from schemas.events import parse
from schemas.events.ballot import BallotOpened
from schemas.events.mission import MissionExtended, MissionPlanned, MissionReopened, MissionResumed, MissionSubmitted
from schemas.events.task import TaskReplanned
from schemas.plan import TaskSpec

_MOST_ABOVE = 10
"""How far the owners of a task are followed; plans that are checked nest less."""


def evolve(world: World, event: Event) -> World:
    """The world after one more event; events of other tenants only move its position."""
    if event.sequence > world.position:
        world = replace(world, position=event.sequence)
    if event.tenant != world.tenant:
        return world
    try:
        return _evolve(world, event)
    except InvalidEvent:
        return replace(world, unreadable=world.unreadable + 1)


def fold(events: Iterable[Event], world: World) -> World:
    """The world after all of these events."""
    for event in events:
        world = evolve(world, event)
    return world


def matters(event: Event) -> bool:
    """Whether the fold reads events of this type at all."""
    return event.type in FOLDED_TYPES


def _evolve(world: World, event: Event) -> World:
    kind = event.type
    if kind in fleet.FOLDS:
        data = event.data_as_dict() if kind == fleet.DRAINING else parse(event)
        return fleet.FOLDS[kind](world, event, data)
    if kind == MissionSubmitted.TYPE and event.mission != NO_MISSION:
        return _submitted(world, event)
    mission = world.missions.get(event.mission)
    if mission is None:
        return world  # it expired, or was never submitted
    if kind in _CALLS:
        return _put(world, budgets.spent(mission, parse(event)))
    if kind in _OF_MISSIONS:
        return _put(world, _OF_MISSIONS[kind](mission, event, parse(event)), event)
    if kind in _OF_TASKS:
        return _of_task(world, event, mission)
    return world


def _put(world: World, mission: Mission, event: Event | None = None) -> World:
    if event is not None:
        mission = replace(mission, state=replace(mission.state, sequence=event.sequence))
    if mission is world.missions.get(mission.state.id):
        return world
    return replace(world, missions=world.missions.set(mission.state.id, mission))


def _submitted(world: World, event: Event) -> World:
    if event.mission in world.missions:
        return world
    payload = parse(event)
    assert isinstance(payload, MissionSubmitted)
    state = MissionState(
        id=event.mission,
        objective=payload.objective,
        workflow=payload.workflow,
        submitted_by=payload.submitted_by,
        labels=payload.labels,
        submitted_at=event.time,
        sequence=event.sequence,
    )
    return _put(world, Mission(state))


def _planned(mission: Mission, event: Event, payload: MissionPlanned) -> Mission:
    if mission.tasks or mission.state.ended:
        return mission
    mission = _with_tasks(mission, payload.plan.tasks)
    return replace(mission, state=replace(mission.state, budget=budgets.planned(payload.plan)))


def _extended(mission: Mission, event: Event, payload: MissionExtended) -> Mission:
    return mission if mission.state.ended else _with_tasks(mission, payload.tasks)


def _replanned(mission: Mission, event: Event, payload: TaskReplanned) -> Mission:
    task = mission.tasks.get(payload.task)
    if mission.state.ended or task is None or task.status.ended or task.attempt != payload.attempt:
        return mission
    return _with_tasks(mission, payload.tasks, part_of=payload.task)


def _with_tasks(mission: Mission, specs: Iterable[TaskSpec], part_of: str = "") -> Mission:
    fresh = {
        spec.id: TaskState(
            id=spec.id,
            skill=spec.skill,
            title=spec.title,
            goal=spec.goal,
            needs=spec.needs,
            owner=spec.member_of,
            part_of=part_of,
        )
        for spec in specs
        if spec.id not in mission.tasks
    }
    counts = dict(mission.state.tasks)
    counts[TaskStatus.PLANNED.value] = counts.get(TaskStatus.PLANNED.value, 0) + len(fresh)
    state = replace(mission.state, tasks={name: number for name, number in counts.items() if number})
    return replace(mission, tasks=mission.tasks.update(fresh), state=state)


def _status(status: str, reason: str = "") -> Callable[[Mission, Event, Any], Mission]:
    def turn(mission: Mission, event: Event, payload: Any) -> Mission:
        if mission.state.ended:
            return mission
        said = getattr(payload, "reason", "") or getattr(getattr(payload, "failure", None), "message", "") or reason
        state = replace(mission.state, status=status, reason=said)
        if state.ended:
            return replace(tasks.close_all(mission), state=replace(state, ended_at=event.time))
        return replace(mission, state=state)

    return turn


def _resumed(mission: Mission, event: Event, payload: MissionResumed) -> Mission:
    return mission if mission.state.ended else budgets.resumed(_status("running")(mission, event, payload), payload)


def _reopened(mission: Mission, event: Event, payload: MissionReopened) -> Mission:
    """Failed tasks, and whatever was skipped or cancelled with them, wait again."""
    if mission.state.status != "failed" or any(task not in mission.tasks for task in payload.tasks):
        return mission
    mission = replace(mission, state=replace(mission.state, status="running", ended_at="", reason=""))
    before = mission.tasks
    for task in list(before.values()):
        if not task.part_of and _waits_again(before, task, payload.tasks):  # a part's task is tried again
            fresh = replace(task, status=TaskStatus.PLANNED, word=None, worker="", reason="", ended_at="")
            mission = tasks.put(mission, fresh)
    return mission


def _waits_again(tasks: Mapping[str, TaskState], task: TaskState, named: tuple[str, ...]) -> bool:
    """Also a member that its owner had no use for, if the owner waits again."""
    for _ in range(_MOST_ABOVE):
        if task.id in named:
            return True
        if task.status in (TaskStatus.SUCCEEDED, TaskStatus.FAILED):
            return False
        owner = tasks.get(task.owner) if task.owner else None
        if owner is None:
            return True
        task = owner
    return False


def _voting(mission: Mission, event: Event, payload: BallotOpened) -> Mission:
    """A task of the plan is put to a vote."""
    task = mission.tasks.get(payload.ballot) if payload.task else None
    if task is None or task.status is not TaskStatus.PLANNED or mission.state.ended:
        return mission
    attempt = bounded(payload.round)
    begun = task.started_at or event.time
    voting = replace(task, status=TaskStatus.VOTING, attempt=attempt, started_at=begun, sequence=event.sequence)
    return tasks.put(mission, voting)


def _of_task(world: World, event: Event, mission: Mission) -> World:
    payload: Any = parse(event)
    task = mission.tasks.get(payload.task)
    if task is None:
        return world
    after = _OF_TASKS[event.type](mission, task, event, payload)
    if event.type in ("attempt.finished", "task.adopted") and after is not mission:
        after = tested(after, after.tasks[payload.task], event, payload)
    if event.type == "world.confirmed" and after is not mission:
        after = workspaces.confirmed(after, task, event)
    world = fleet.worked(world, event, payload, task, counted=after is not mission)
    if event.type == "attempt.finished":
        after = budgets.spent(after, payload)
    return _put(world, after)


_OF_MISSIONS: dict[str, Callable[[Mission, Event, Any], Mission]] = {
    "mission.planned": _planned,
    "mission.extended": _extended,
    "mission.paused": _status("paused"),
    "mission.resumed": _resumed,
    "mission.reopened": _reopened,
    "task.replanned": _replanned,
    "mission.completed": _status("completed"),
    "mission.failed": _status("failed"),
    "mission.cancelled": _status("cancelled"),
    "ballot.opened": _voting,
}
_OF_TASKS = tasks.FOLDS
_CALLS = budgets.TYPES - _OF_TASKS.keys()
FOLDED_TYPES = frozenset({"mission.submitted", *_OF_MISSIONS, *_OF_TASKS, *fleet.FOLDS, *budgets.TYPES})
