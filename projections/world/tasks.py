"""The fold of tasks and their attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from immutables import Map
from msgspec.structs import replace

from projections.world import workspaces
from projections.world.state import Mission, TaskState, TaskStatus, Word, bounded
from schemas.envelope import Event
from schemas.events.action import ActionDispatched, ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskAdopted, TaskChosen, TaskHandedBack, TaskHandedOver, TaskReady, TaskRetried
from schemas.events.workspace import WorkspaceConflicted
from schemas.events.world import WorldConfirmed, WorldViolated

_OPEN = (TaskStatus.READY, TaskStatus.DISPATCHED, TaskStatus.RUNNING)
_UNJUDGED = (*_OPEN, TaskStatus.REPORTED)


def put(mission: Mission, task: TaskState) -> Mission:
    """The mission with this task, and its counts by status."""
    before = mission.tasks.get(task.id)
    mission = replace(mission, tasks=mission.tasks.set(task.id, task))
    if before is not None and before.status is task.status:
        return mission
    counts = dict(mission.state.tasks)
    counts[task.status.value] = counts.get(task.status.value, 0) + 1
    if before is not None:
        left = counts[before.status.value] - 1
        counts[before.status.value] = left
        if not left:
            del counts[before.status.value]
    return replace(mission, state=replace(mission.state, tasks=counts))


def close_all(mission: Mission) -> Mission:
    """The mission has ended: nothing is claimed any more, and no word counts."""
    return replace(mission, claims=Map()) if mission.claims else mission


def _ready(mission: Mission, task: TaskState, event: Event, payload: TaskReady) -> Mission:
    attempt = bounded(payload.attempt)
    if mission.state.ended or attempt <= task.attempt or task.status.ended:
        return mission
    base = str((payload.workspace or {}).get("tree", ""))
    if base and not mission.state.root:
        mission = replace(mission, state=replace(mission.state, root=base, head=mission.state.head or base))
    fresh = replace(
        task,
        status=TaskStatus.READY,
        attempt=attempt,
        skill=payload.skill,
        base=base,
        worker="",
        agent="",
        queue="",
        word=None,
        onto=(),
        started_at=task.started_at or event.time,
        sequence=event.sequence,
    )
    return put(mission, fresh)


def _dispatched(mission: Mission, task: TaskState, event: Event, payload: ActionDispatched) -> Mission:
    if not _counts(mission, task, payload.attempt, _OPEN) or task.queue:
        return mission
    status = TaskStatus.DISPATCHED if task.status is TaskStatus.READY else task.status
    onto = tuple((one.task, str(one.snapshot.get("tree", ""))) for one in payload.order.onto)
    mission = put(mission, replace(task, status=status, queue=payload.queue, onto=onto, sequence=event.sequence))
    return workspaces.claimed(mission, task, event, payload.order)


def _conflicted(mission: Mission, task: TaskState, event: Event, payload: WorkspaceConflicted) -> Mission:
    """What another task made does not fit and was not merged into the workspace."""
    onto = tuple(one for one in task.onto if one[0] != payload.side)
    if onto == task.onto or not _counts(mission, task, payload.attempt, _OPEN):
        return mission
    return put(mission, replace(task, onto=onto))


def _started(mission: Mission, task: TaskState, event: Event, payload: AttemptStarted) -> Mission:
    if not _counts(mission, task, payload.attempt, (TaskStatus.READY, TaskStatus.DISPATCHED)):
        return mission
    running = replace(
        task, status=TaskStatus.RUNNING, worker=payload.worker, agent=payload.agent, sequence=event.sequence
    )
    return workspaces.claim_taken(put(mission, running), running)


def _finished(mission: Mission, task: TaskState, event: Event, payload: AttemptFinished) -> Mission:
    if not _counts(mission, task, payload.attempt, _OPEN):
        return mission
    seen, word = payload.observation, _word(payload, event)
    waits = payload.wants_verdict
    reported = replace(
        task,
        status=TaskStatus.REPORTED if waits else TaskStatus.JUDGED,
        word=word if payload.outcome == "succeeded" else None,  # what is handed on is nobody's result yet
        worker=payload.worker,
        seconds=task.seconds + seen.duration_s,
        cpu_s=round(task.cpu_s + (seen.cpu_s or 0.0), 3),
        peak_memory_bytes=max(task.peak_memory_bytes, seen.peak_memory_bytes or 0),
        reason="" if waits else _why(payload.failure, payload.outcome),
        sequence=event.sequence,
    )
    mission = put(mission, reported)
    return mission if waits else workspaces.released(mission, task.id)


def _confirmed(mission: Mission, task: TaskState, event: Event, payload: WorldConfirmed) -> Mission:
    if not _counts(mission, task, payload.attempt, (TaskStatus.REPORTED,)):
        return mission
    judged = replace(task, status=TaskStatus.JUDGED, word=None, sequence=event.sequence)
    return workspaces.released(put(mission, judged), task.id)


def _violated(mission: Mission, task: TaskState, event: Event, payload: WorldViolated) -> Mission:
    if not _counts(mission, task, payload.attempt, _UNJUDGED):
        return mission
    number = len(payload.violations)
    judged = replace(
        task,
        status=TaskStatus.JUDGED,
        word=None,
        violations=task.violations + number,
        reason="; ".join(violation.message for violation in payload.violations)[:1000],
        sequence=event.sequence,
    )
    state = replace(mission.state, violations=mission.state.violations + number)
    return workspaces.released(put(replace(mission, state=state), judged), task.id)


def _given_up(mission: Mission, task: TaskState, event: Event, payload: ActionExpired | ActionRefused) -> Mission:
    if not _counts(mission, task, payload.attempt, _UNJUDGED):
        return mission
    judged = replace(
        task, status=TaskStatus.JUDGED, word=None, reason=payload.failure.message[:1000], sequence=event.sequence
    )
    return workspaces.released(put(mission, judged), task.id)


def _retried(mission: Mission, task: TaskState, event: Event, payload: TaskRetried) -> Mission:
    if mission.state.ended or task.status.ended or payload.attempt <= task.attempt:
        return mission
    retrying = replace(
        task, status=TaskStatus.RETRYING, word=None, reason=payload.failure.message[:1000], sequence=event.sequence
    )
    return workspaces.released(put(mission, retrying), task.id)


def _handed_over(mission: Mission, task: TaskState, event: Event, payload: TaskHandedOver) -> Mission:
    return _handed(mission, task, event, payload, f"handed over by {payload.giver}: {payload.why}")


def _handed_back(mission: Mission, task: TaskState, event: Event, payload: TaskHandedBack) -> Mission:
    return _handed(mission, task, event, payload, f"not handed to {payload.to}: {payload.failure.message}")


def _handed(
    mission: Mission, task: TaskState, event: Event, payload: TaskHandedOver | TaskHandedBack, reason: str
) -> Mission:
    if mission.state.ended or task.status.ended or payload.attempt <= task.attempt:
        return mission
    turned = replace(
        task,
        status=TaskStatus.RETRYING,
        skill=payload.skill,
        word=None,
        reason=reason[:1000],
        sequence=event.sequence,
    )
    return workspaces.released(put(mission, turned), task.id)


def _adopted(mission: Mission, task: TaskState, event: Event, payload: TaskAdopted) -> Mission:
    """In a fork: what the task came to in the mission it was forked from, where it was confirmed."""
    if mission.state.ended or task.status is not TaskStatus.PLANNED:
        return mission
    failed = payload.failure is not None
    ended = replace(
        task,
        status=TaskStatus.FAILED if failed else TaskStatus.SUCCEEDED,
        attempt=bounded(payload.attempt),
        worker=payload.worker,
        reason=_why(payload.failure, ""),
        started_at=event.time,
        ended_at=event.time,
        sequence=event.sequence,
    )
    mission = put(mission, ended)
    return mission if failed else workspaces.confirmed(mission, replace(ended, word=_word(payload, event)), event)


def _chosen(mission: Mission, task: TaskState, event: Event, payload: TaskChosen) -> Mission:
    """One of parallel attempts was taken: the task is what that one is."""
    if mission.state.ended or task.status is not TaskStatus.PLANNED:
        return mission
    winner = mission.tasks.get(payload.winner)
    chosen = replace(
        task,
        status=TaskStatus.JUDGED,
        attempt=bounded(payload.attempt),
        skill=winner.skill if winner is not None else task.skill,
        worker=winner.worker if winner is not None else "",
        agent=winner.agent if winner is not None else "",
        started_at=task.started_at or event.time,
        sequence=event.sequence,
    )
    return put(mission, chosen)


def _word(payload: AttemptFinished | TaskAdopted, event: Event) -> Word:
    seen, product = payload.observation, payload.product or {}
    return Word(
        worker=payload.worker,
        outcome=payload.outcome if isinstance(payload, AttemptFinished) else "succeeded",
        at=event.time,
        changes=seen.changes or {},
        contents=seen.contents or {},
        tree=str(product.get("tree", "")),
        files=bounded(product.get("files")),
        size_bytes=bounded(product.get("size_bytes")),
    )


def _ended(status: TaskStatus) -> Callable[[Mission, TaskState, Event, Any], Mission]:
    def end(mission: Mission, task: TaskState, event: Event, payload: Any) -> Mission:
        if task.status.ended:
            return mission
        reason = getattr(payload, "reason", "") or _why(getattr(payload, "failure", None), "")
        ended = replace(
            task, status=status, word=None, reason=reason[:1000], ended_at=event.time, sequence=event.sequence
        )
        return workspaces.released(put(mission, ended), task.id)

    return end


def _counts(mission: Mission, task: TaskState, attempt: int, among: tuple[TaskStatus, ...]) -> bool:
    """Whether a word about an attempt is about the present one, and before its verdict."""
    return not mission.state.ended and task.attempt == attempt and task.status in among


def _why(failure: Any, otherwise: str) -> str:
    return failure.message[:1000] if failure is not None else otherwise


FOLDS: dict[str, Callable[[Mission, TaskState, Event, Any], Mission]] = {
    "task.ready": _ready,
    "action.dispatched": _dispatched,
    "attempt.started": _started,
    "attempt.finished": _finished,
    "workspace.conflicted": _conflicted,
    "world.confirmed": _confirmed,
    "world.violated": _violated,
    "action.expired": _given_up,
    "action.refused": _given_up,
    "task.retried": _retried,
    "task.handed_over": _handed_over,
    "task.handed_back": _handed_back,
    "task.adopted": _adopted,
    "task.chosen": _chosen,
    "task.succeeded": _ended(TaskStatus.SUCCEEDED),
    "task.failed": _ended(TaskStatus.FAILED),
    "task.skipped": _ended(TaskStatus.SKIPPED),
    "task.cancelled": _ended(TaskStatus.CANCELLED),
}
