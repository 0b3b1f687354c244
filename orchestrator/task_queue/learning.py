"""What the situation learns from facts that are read: how many attempts wait for a profile, and how good it is."""

from __future__ import annotations

from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage
from orchestrator.task_queue.situation import Situation
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import MissionCancelled, MissionFailed
from schemas.events.task import TaskCancelled


def learn(situation: Situation, before: Floor, payload: Payload) -> None:
    """Take in a fact, with the floor as it was before. What has no requirements is not counted."""
    match payload:
        case ActionDispatched() as event:
            opened = before.attempts.get(event.task)
            if "@" in event.queue and opened is not None and opened.stage is Stage.READY:
                situation.assign(event.queue, 1)
        case AttemptStarted() | ActionExpired() | TaskCancelled() as event:
            _no_longer_waits(situation, before.attempts.get(event.task))
        case MissionCancelled() | MissionFailed():
            for opened in before.attempts.values():
                _no_longer_waits(situation, opened)
        case AttemptFinished() as event:
            _rate(situation, before.attempts.get(event.task), event)


def learn_of_waiting(situation: Situation, floor: Floor, sign: int) -> None:
    """Take in a mission as it stands (1), or leave it out from now on (-1)."""
    for opened in floor.attempts.values():
        if opened.stage is Stage.DISPATCHED and "@" in opened.queue:
            situation.assign(opened.queue, sign)


def _no_longer_waits(situation: Situation, opened: OpenAttempt | None) -> None:
    if opened is not None and opened.stage is Stage.DISPATCHED and "@" in opened.queue:
        situation.assign(opened.queue, -1)


def _rate(situation: Situation, opened: OpenAttempt | None, event: AttemptFinished) -> None:
    worker = situation.workers.get(event.worker)
    if opened is None or worker is None or not worker.beat.profile:
        return
    tally = situation.tally(opened.ready.skill, worker.beat.profile)
    tally.succeeded += event.outcome == "succeeded"
    tally.failed += event.outcome != "succeeded"
    tally.seconds += event.observation.duration_s
