"""What the task-queue manager has to do with hand-offs: what an offer is held to, and when one lapses. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage
from orchestrator.task_queue.sightings import Sightings
from schemas.attempts import Failure
from schemas.events.action import ActionExpired
from schemas.events.attempt import AttemptFinished
from schemas.events.task import TaskReady
from schemas.expectations import (
    Expectation,
    FilesChangedWithin,
    FilesUnchanged,
    MaxDuration,
    MaxMemory,
)
from schemas.handoff import NOT_ACCEPTED

_FORBIDS = (FilesUnchanged, MaxDuration, MaxMemory)


def held_to(expects: Sequence[Expectation], finished: AttemptFinished) -> tuple[Expectation, ...]:
    """Which expectations an attempt is compared with.

    All of them; but of one that hands its task on only those that forbid something: whatever else should come about is
    for the receiver to bring about, while what may not be done may not be done by half either.
    """
    if not finished.is_offer:
        return tuple(expects)
    kept: list[Expectation] = []
    for one in expects:
        if isinstance(one, FilesChangedWithin):
            kept.append(one.model_copy(update={"at_least": 0}))
        elif isinstance(one, MaxMemory) and finished.observation.peak_memory_bytes is None:
            continue
        elif isinstance(one, _FORBIDS):
            kept.append(one)
    return tuple(kept)


def lapsed(state: Floor, sightings: Sightings) -> list[ActionExpired]:
    """The end of attempts that were handed over, and that no worker has claimed in the time that the plan gives, by
    this manager's own clock."""
    # Sorted, because the map iterates by hashes, which differ from process to process.
    return [
        ActionExpired(task=task, attempt=opened.ready.attempt, failure=_failure(opened))
        for task in sorted(state.attempts)
        if (opened := state.attempts[task]).stage in (Stage.READY, Stage.DISPATCHED)
        and _too_long(state, opened, sightings)
    ]


def may_lapse(ready: TaskReady) -> bool:
    """Whether the attempt goes back to a giver if nobody takes it."""
    return ready.handed is not None and not ready.handed.returned


def _too_long(state: Floor, opened: OpenAttempt, sightings: Sightings) -> bool:
    handed = opened.ready.handed
    if handed is None or not may_lapse(opened.ready):
        return False
    return sightings.known_s(state, opened) > handed.accept_within_s


def _failure(opened: OpenAttempt) -> Failure:
    handed = opened.ready.handed
    assert handed is not None
    message = f"no worker with the skill {opened.ready.skill!r} has taken it within {handed.accept_within_s:g} s"
    return Failure(code=NOT_ACCEPTED, message=message, hint="start one, or allow more time: hand_off: accept_within")
