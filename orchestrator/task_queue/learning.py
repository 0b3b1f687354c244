"""What the situation learns from facts that are read: how many attempts wait for a profile, and how good it is."""

from __future__ import annotations

from orchestrator.core.facts import Fact
from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage
from orchestrator.task_queue.situation import Situation
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.llm import LlmCompleted
from schemas.events.mission import MissionCancelled, MissionFailed
from schemas.events.task import TaskCancelled
from schemas.events.world import WorldViolated


def learn(situation: Situation, before: Floor, fact: Fact) -> None:
    """Take in a fact, with the floor as it was before."""
    match fact.payload:
        case ActionDispatched() as event:
            opened = before.attempts.get(event.task)
            waits = "@" in event.queue and event.order.given is None
            if waits and opened is not None and opened.stage is Stage.READY:
                situation.assign(event.queue, 1)
        case AttemptStarted() | ActionExpired() | TaskCancelled() as event:
            opened = before.attempts.get(event.task)
            _no_longer_waits(situation, opened)
            if isinstance(event, ActionExpired):
                _lost(situation, opened, fact)
        case MissionCancelled() | MissionFailed():
            for opened in before.attempts.values():
                _no_longer_waits(situation, opened)
        case LlmCompleted() as event:
            attempt = (before.tenant, before.mission, event.task, event.attempt)
            situation.experience.asked_model(attempt, event.tokens_in + event.tokens_out, event.cost_usd)
        case AttemptFinished() as event:
            _rate(situation, before, event, fact)
        case WorldViolated() as event:
            opened = before.attempts.get(event.task)
            worker = situation.workers.get(opened.worker or "") if opened is not None else None
            if opened is not None and worker is not None and worker.beat.profile:
                tally = situation.experience.tally(opened.ready.skill, worker.beat.profile)
                tally.objected(fact.at.timestamp())


def learn_of_waiting(situation: Situation, floor: Floor, sign: int) -> None:
    """Take in a mission as it stands (1), or leave it out from now on (-1)."""
    for opened in floor.attempts.values():
        if opened.stage is Stage.DISPATCHED and "@" in opened.queue:
            situation.assign(opened.queue, sign)


def _no_longer_waits(situation: Situation, opened: OpenAttempt | None) -> None:
    if opened is not None and opened.stage is Stage.DISPATCHED and "@" in opened.queue:
        situation.assign(opened.queue, -1)


def _lost(situation: Situation, opened: OpenAttempt | None, fact: Fact) -> None:
    """An attempt whose lease ended in somebody's hands speaks against their kind."""
    if opened is None or opened.worker is None:
        return
    worker = situation.workers.get(opened.worker)
    if worker is not None and worker.beat.profile:
        situation.experience.tally(opened.ready.skill, worker.beat.profile).gone(fact.at.timestamp())


def _rate(situation: Situation, before: Floor, event: AttemptFinished, fact: Fact) -> None:
    opened, worker = before.attempts.get(event.task), situation.workers.get(event.worker)
    spent = situation.experience.spent((before.tenant, before.mission, event.task, event.attempt))
    if opened is None or worker is None or not worker.beat.profile or event.outcome == "cancelled":
        return  # who was told to stop has shown nothing
    situation.experience.has_tree(worker.beat.host, opened.ready.workspace)
    situation.experience.has_tree(worker.beat.host, event.product)
    tally = situation.experience.tally(opened.ready.skill, worker.beat.profile)
    well = None if event.is_offer else event.outcome == "succeeded"
    tally.ended(well=well, seconds=event.observation.duration_s, at=fact.at.timestamp(), spent=spent)
