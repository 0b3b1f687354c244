"""What a task-queue manager that has just come learns from the newest part of the log, beside its work."""

from __future__ import annotations

import logging

from events.port import Log, Window
from orchestrator.task_queue.situation import Situation
from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent
from schemas.events import parse
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.worker import WorkerJoined
from schemas.requirements import profile
from schemas.subjects import noun_filter

_log = logging.getLogger(__name__)
_BACK = 20_000
_NOUNS = ("worker", "attempt", "llm")
_TYPES = frozenset({WorkerJoined.TYPE, AttemptFinished.TYPE, LlmCompleted.TYPE})


async def recall(log: Log, situation: Situation, upto: int) -> None:
    """Fold who was how good at what out of the newest 20,000 events up to ``upto``; what comes later is followed.

    A worker that joined before these counts if its heartbeats are heard.
    """
    recaller = _Recaller(situation)
    window = Window(tuple(noun_filter(noun) for noun in _NOUNS), first=max(1, upto - _BACK + 1), last=upto)
    async for event in log.read(window):
        if event.type in _TYPES:
            recaller.take(event)


class _Recaller:
    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._known: dict[str, tuple[str, str]] = {}

    def take(self, event: Event) -> None:
        try:
            payload, at = parse(event), moment_of(event).timestamp()
        except InvalidEvent as error:
            _log.debug("nothing is learned from %s: %s", event.id, error)
            return
        experience = self._situation.experience
        match payload:
            case WorkerJoined():
                self._known[payload.worker] = payload.host, _profile(payload)
            case LlmCompleted():
                attempt = (event.tenant, event.mission, payload.task, payload.attempt)
                experience.asked_model(attempt, payload.tokens_in + payload.tokens_out, payload.cost_usd)
            case AttemptFinished():
                spent = experience.spent((event.tenant, event.mission, payload.task, payload.attempt))
                host, of_profile = self._known.get(payload.worker) or self._heard(payload.worker)
                if of_profile and payload.skill and payload.outcome != "cancelled":
                    experience.has_tree(host, payload.product)
                    tally = experience.tally(payload.skill, of_profile)
                    well, seconds = payload.outcome == "succeeded", payload.observation.duration_s
                    tally.ended(well=well, seconds=seconds, at=at, spent=spent)

    def _heard(self, name: str) -> tuple[str, str]:
        worker = self._situation.workers.get(name)
        return ("", "") if worker is None else (worker.beat.host, worker.beat.profile)


def _profile(joined: WorkerJoined) -> str:
    own = [card for card in joined.cards if not card.learned]
    versions = {card.id: card.version for card in own if card.version != "1"}
    return profile(joined.host, joined.labels, versions, [card.id for card in own if card.deprecated], kind=joined.kind)
