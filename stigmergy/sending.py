"""How a task-queue manager brings attempts to workers, as the settings say."""

from __future__ import annotations

from collections.abc import Callable

from events.signals import Signals
from orchestrator.task_queue.dispatch import CelerySender, Spread
from orchestrator.task_queue.standby import StandbySender
from schemas.shares import parse_rates, parse_weights
from stigmergy.settings import Settings


def make_sender(url: str, signals: Signals, settings: Settings) -> Callable[[Spread], StandbySender]:
    """What makes the sender of a manager, to workers that stand by or else over Celery's queues in Redis at ``url``."""

    def make(spread: Spread) -> StandbySender:
        queues = CelerySender(
            url,
            spread,
            rates=parse_rates(settings.rates),
            tenant_weights=parse_weights(settings.tenant_weights),
            priority_step=settings.priority_step,
            standby=True,
        )
        return StandbySender(queues, signals)

    return make
