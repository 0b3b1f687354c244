"""The task-queue manager's view of one mission: the attempts that are open. Folded from the log, pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.facts import Fact
from schemas.attempts import AttemptOrder
from schemas.events.action import ActionDispatched, ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import MissionCancelled, MissionCompleted, MissionFailed, MissionReopened
from schemas.events.task import TaskCancelled, TaskFailed, TaskReady, TaskRetried, TaskSkipped, TaskSucceeded
from schemas.events.world import WorldConfirmed, WorldViolated


class Stage(StrEnum):
    """How far an attempt is."""

    READY = "ready"
    DISPATCHED = "dispatched"
    STARTED = "started"
    REPORTED = "reported"


class OpenAttempt(Struct, frozen=True):
    """An attempt between "ready" and its verdict. ``since`` is when it reached its stage, by the writer's clock."""

    ready: TaskReady
    stage: Stage
    since: datetime
    order: AttemptOrder | None = None
    queue: str = ""
    priority: int = 5
    worker: str | None = None
    finished: AttemptFinished | None = None


class Floor(Struct, frozen=True):
    """The open attempts of one mission.

    Attributes:
        attempts: by task; a task has at most one.
        agenda: tasks whose attempt waits for this role, with the order of their arrival.
        seen: noun to the sequence of its newest message, for the nouns that this role writes.
    """

    tenant: str
    mission: str
    attempts: Map[str, OpenAttempt] = Map()
    agenda: Map[str, int] = Map()
    tickets: int = 0
    seen: Map[str, int] = Map()
    ended: bool = False


def evolve(floor: Floor, fact: Fact) -> Floor:
    """The floor after one more fact."""
    noun = fact.payload.TYPE.partition(".")[0]
    if noun in ("action", "world"):
        floor = replace(floor, seen=floor.seen.set(noun, fact.sequence))
    match fact.payload:
        case TaskReady() as event:
            opened = OpenAttempt(ready=event, stage=Stage.READY, since=fact.at)
            return _put(floor, event.task, opened, waits=True)
        case ActionDispatched() as event:
            return _move(
                floor,
                event.task,
                event.attempt,
                fact,
                Stage.DISPATCHED,
                order=event.order,
                queue=event.queue,
                priority=event.priority,
            )
        case AttemptStarted() as event:
            return _move(floor, event.task, event.attempt, fact, Stage.STARTED, worker=event.worker)
        case AttemptFinished() as event:
            return _report(floor, event, fact)
        case ActionExpired() | ActionRefused() | WorldConfirmed() | WorldViolated() as event:
            return _close(floor, event.task, event.attempt)
        case TaskCancelled() | TaskSkipped() | TaskFailed() | TaskSucceeded() | TaskRetried() as event:
            return _close(floor, event.task, None)
        case MissionCompleted() | MissionFailed() | MissionCancelled():
            return replace(floor, attempts=Map(), agenda=Map(), ended=True)
        case MissionReopened():
            return replace(floor, ended=False)
        case _:
            return floor


def _put(floor: Floor, task: str, opened: OpenAttempt, *, waits: bool) -> Floor:
    agenda = floor.agenda.set(task, floor.tickets + 1) if waits else floor.agenda
    if not waits and task in agenda:
        agenda = agenda.delete(task)
    return replace(floor, attempts=floor.attempts.set(task, opened), agenda=agenda, tickets=floor.tickets + waits)


def _move(floor: Floor, task: str, attempt: int, fact: Fact, stage: Stage, **changes: object) -> Floor:
    opened = floor.attempts.get(task)
    if opened is None or opened.ready.attempt != attempt or opened.stage is Stage.REPORTED:
        return floor
    return _put(floor, task, replace(opened, stage=stage, since=fact.at, **changes), waits=False)


def _report(floor: Floor, event: AttemptFinished, fact: Fact) -> Floor:
    opened = floor.attempts.get(event.task)
    if opened is None or opened.ready.attempt != event.attempt or opened.stage is Stage.REPORTED:
        return floor  # the late word of an attempt that no longer counts
    if event.outcome != "succeeded":
        return _close(floor, event.task, event.attempt)  # there is nothing to compare; the orchestrator decides
    return _put(floor, event.task, replace(opened, stage=Stage.REPORTED, since=fact.at, finished=event), waits=True)


def _close(floor: Floor, task: str, attempt: int | None) -> Floor:
    opened = floor.attempts.get(task)
    if opened is None or (attempt is not None and opened.ready.attempt != attempt):
        return floor
    agenda = floor.agenda.delete(task) if task in floor.agenda else floor.agenda
    return replace(floor, attempts=floor.attempts.delete(task), agenda=agenda)
