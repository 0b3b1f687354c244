"""The task-queue manager's view of one mission: the attempts that are open. Folded from the log, pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.facts import Fact
from orchestrator.task_queue.claims import Product, with_product
from orchestrator.task_queue.safety import Guard, watch
from orchestrator.task_queue.spending import held, lifted, spend, warned
from orchestrator.task_queue.trees import Tree, noted
from schemas.attempts import AttemptOrder
from schemas.events.action import ActionDispatched, ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import (
    MissionCancelled,
    MissionCompleted,
    MissionFailed,
    MissionPlanned,
    MissionReopened,
    MissionResumed,
    MissionSubmitted,
)
from schemas.events.task import (
    TaskAsked,
    TaskCancelled,
    TaskFailed,
    TaskHandedBack,
    TaskHandedOver,
    TaskReady,
    TaskRetried,
    TaskSkipped,
    TaskStuck,
    TaskSucceeded,
)
from schemas.events.world import WorldConfirmed, WorldTripped, WorldViolated, WorldWarned


class Stage(StrEnum):
    """How far an attempt is. It is dispatched to whoever claims it, or given to a worker, until that one says that it
    has it."""

    READY = "ready"
    DISPATCHED = "dispatched"
    GIVEN = "given"
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
        newest: by task the newest attempt that was announced, also of tasks that have none open.
        products: what tasks that count made of files they had claimed, for those who build on it.
        guard: the safety constraints and the budget, and whether one was broken.
        trees: where the mission's file trees come from.
        agenda: tasks whose attempt waits for this role, with the order of their arrival.
        seen: noun to the sequence of its newest message, for the nouns that this role writes.
        weight: the mission's share among those of its tenant.
        correlation, traceparent: of the submission; workers hand them on.
    """

    tenant: str
    mission: str
    attempts: Map[str, OpenAttempt] = Map()
    agenda: Map[str, int] = Map()
    tickets: int = 0
    seen: Map[str, int] = Map()
    newest: Map[str, int] = Map()
    products: tuple[Product, ...] = ()
    trees: Map[str, Tree] = Map()
    guard: Guard = Guard()
    ended: bool = False
    weight: float = 1.0
    correlation: str | None = None
    traceparent: str | None = None


def evolve(floor: Floor, fact: Fact) -> Floor:
    """The floor after one more fact."""
    noun = fact.payload.TYPE.partition(".")[0]
    if noun in ("action", "world"):
        floor = replace(floor, seen=floor.seen.set(noun, fact.sequence))
    floor = _guarded(floor, fact)
    match fact.payload:
        case MissionSubmitted() as event:
            floor = replace(floor, correlation=fact.correlation, traceparent=fact.traceparent)
            return replace(floor, weight=weight_of(event.labels))
        case TaskReady() as event:
            return _open(floor, event, fact)
        case ActionDispatched() as event:
            return _dispatch(floor, event, fact)
        case AttemptStarted() as event:
            return _start(floor, event, fact)
        case AttemptFinished() as event:
            return _report(floor, event, fact)
        case WorldConfirmed() as event:
            return _close(_keep(floor, event), event.task, event.attempt)
        case ActionExpired() | ActionRefused() | WorldViolated() as event:
            return _close(floor, event.task, event.attempt)
        case (
            TaskCancelled()
            | TaskSkipped()
            | TaskFailed()
            | TaskSucceeded()
            | TaskRetried()
            | TaskAsked()
            | TaskStuck()
            | TaskHandedOver()
            | TaskHandedBack()
        ) as event:
            return _close(floor, event.task, None)
        case MissionCompleted() | MissionFailed() | MissionCancelled():
            guard = replace(floor.guard, warning=None)
            return replace(floor, attempts=Map(), agenda=Map(), guard=guard, ended=True)
        case MissionReopened():
            return replace(floor, ended=False)
        case _:
            return floor


def weight_of(labels: Mapping[str, str]) -> float:
    """The share that a mission's label ``weight`` asks for, between 0.01 and 100; 1 if it says nothing sensible."""
    try:
        weight = float(labels.get("weight", "1"))
    except ValueError:
        return 1.0
    return min(100.0, max(0.01, weight)) if weight == weight else 1.0


def _guarded(floor: Floor, fact: Fact) -> Floor:
    """What the fact means for the safety constraints and the budget."""
    match fact.payload:
        case MissionPlanned() as event:
            guard = replace(floor.guard, rules=event.plan.safety, limits=event.plan.budget.limits)
        case WorldTripped() as event:
            guard = held(floor.guard, event, fact.id)
        case WorldWarned() as event:
            guard = warned(floor.guard, event)
        case MissionResumed() as event:
            guard = lifted(floor.guard, event.budget)
        case MissionReopened():
            guard = lifted(floor.guard)
        case payload:
            guard = spend(watch(floor.guard, payload, fact.at), payload, over=floor.ended)
    return floor if guard is floor.guard else replace(floor, guard=guard)


def _put(floor: Floor, task: str, opened: OpenAttempt, *, waits: bool) -> Floor:
    agenda = floor.agenda.set(task, floor.tickets + 1) if waits else floor.agenda
    if not waits and task in agenda:
        agenda = agenda.delete(task)
    return replace(floor, attempts=floor.attempts.set(task, opened), agenda=agenda, tickets=floor.tickets + waits)


def _open(floor: Floor, event: TaskReady, fact: Fact) -> Floor:
    opened = floor.attempts.get(event.task)
    if floor.ended or (opened is not None and opened.ready.attempt >= event.attempt):
        return floor  # said before; or another replica has just recorded the end of the mission
    floor = replace(floor, newest=floor.newest.set(event.task, event.attempt))
    return _put(floor, event.task, OpenAttempt(ready=event, stage=Stage.READY, since=fact.at), waits=True)


def _dispatch(floor: Floor, event: ActionDispatched, fact: Fact) -> Floor:
    opened = floor.attempts.get(event.task)
    if opened is None or opened.ready.attempt != event.attempt or opened.order is not None:
        return floor
    order = event.order.model_copy(update={"cause": fact.id})
    opened = replace(opened, order=order, queue=event.queue, priority=event.priority)
    if opened.stage is Stage.READY:
        if order.given is not None:
            opened = replace(opened, stage=Stage.GIVEN, since=fact.at, worker=order.given.worker)
        else:
            opened = replace(opened, stage=Stage.DISPATCHED, since=fact.at)
        return _put(floor, event.task, opened, waits=False)
    # A worker was quicker than this record: an attempt never goes back a stage, or its lease would be forgotten.
    return replace(floor, attempts=floor.attempts.set(event.task, opened))


def _start(floor: Floor, event: AttemptStarted, fact: Fact) -> Floor:
    opened = floor.attempts.get(event.task)
    if opened is None or opened.ready.attempt != event.attempt or opened.stage in (Stage.STARTED, Stage.REPORTED):
        return floor
    started = replace(opened, stage=Stage.STARTED, since=fact.at, worker=event.worker)
    return _put(floor, event.task, started, waits=False)


def _report(floor: Floor, event: AttemptFinished, fact: Fact) -> Floor:
    opened = floor.attempts.get(event.task)
    if opened is None or opened.ready.attempt != event.attempt or opened.stage is Stage.REPORTED:
        return floor  # the late word of an attempt that no longer counts
    if not event.wants_verdict:
        return _close(floor, event.task, event.attempt)  # there is nothing to compare; the orchestrator decides
    return _put(floor, event.task, replace(opened, stage=Stage.REPORTED, since=fact.at, finished=event), waits=True)


def _keep(floor: Floor, event: WorldConfirmed) -> Floor:
    """What an attempt that counts leaves for others: its tree, what its tests took, its product."""
    opened = floor.attempts.get(event.task)
    if opened is None or opened.ready.attempt != event.attempt or opened.finished is None:
        return floor
    if opened.finished.product is None or opened.finished.is_offer:
        return floor  # what was handed on does not count yet
    floor = replace(floor, trees=noted(floor.trees, opened.ready.workspace, opened.finished))
    if not opened.ready.writes:
        return floor
    onto = opened.order.onto if opened.order is not None else ()
    products = with_product(floor.products, opened.ready, onto, opened.finished.product)
    return replace(floor, products=products)


def _close(floor: Floor, task: str, attempt: int | None) -> Floor:
    opened = floor.attempts.get(task)
    if opened is None or (attempt is not None and opened.ready.attempt != attempt):
        return floor
    agenda = floor.agenda.delete(task) if task in floor.agenda else floor.agenda
    return replace(floor, attempts=floor.attempts.delete(task), agenda=agenda)
