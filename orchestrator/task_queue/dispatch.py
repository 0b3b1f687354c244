"""Handing attempts to Celery: from a thread of its own, several to a message while there is a backlog."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from schemas.attempts import AttemptOrder
from schemas.celery_wire import ATTEMPTS_TASK, celery_settings, wire_priority

_log = logging.getLogger(__name__)
_MOST_IN_MESSAGE = 50
_WORTH_S = 0.05
"""A message may hold work for this long: more would keep idle workers waiting for what another one has in its hands."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An attempt on its way to a queue."""

    queue: str
    priority: int
    order: AttemptOrder


class Sender(Protocol):
    """Takes attempts that are on the log and brings them to their queues."""

    def send(self, dispatch: Dispatch) -> None:
        """Take one; never blocks, never fails: what cannot be sent now is sent later."""

    def close(self) -> None:
        """Send what is left, then stop."""


class Spread(Protocol):
    """What a sender wants to know of a skill to fill its messages."""

    def __call__(self, skill: str) -> tuple[float | None, int]:
        """How long an attempt takes in seconds, if known, and how many workers take the skill."""


class CelerySender:
    """Sends over Celery's Redis transport.

    Celery's producer is synchronous; in the event loop it would hold up everything else for 0.4 ms a message, and for as
    long as Redis is away.
    """

    def __init__(self, redis_url: str, spread: Spread) -> None:
        self._app = Celery("stigmergy.dispatch", set_as_current=False)
        self._app.conf.update(celery_settings(redis_url))
        self._spread = spread
        self._waiting: queue.SimpleQueue[Dispatch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
        self._thread.start()

    def send(self, dispatch: Dispatch) -> None:
        self._waiting.put(dispatch)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        closing = False
        with self._app.connection_for_write() as connection, self._app.amqp.Producer(connection) as producer:
            while not closing:
                taken = self._take()
                closing = None in taken
                for message in fill([item for item in taken if item is not None], self._spread):
                    _persist(lambda m=message: self._publish(producer, m))  # type: ignore[misc]

    def _take(self) -> list[Dispatch | None]:
        """Everything that waits now; blocks for the first."""
        taken = [self._waiting.get()]
        while not self._waiting.empty():
            taken.append(self._waiting.get_nowait())
        return taken

    def _publish(self, producer: object, message: Sequence[Dispatch]) -> None:
        first = message[0]
        self._app.send_task(
            ATTEMPTS_TASK,
            args=([dispatch.order.model_dump_json() for dispatch in message],),
            queue=first.queue,
            priority=wire_priority(first.priority),
            producer=producer,
            ignore_result=True,
            retry=False,
        )


def fill(dispatches: Sequence[Dispatch], spread: Spread) -> list[list[Dispatch]]:
    """Cut what waits into messages: of one queue and priority, as many attempts as are worth one message.

    While there are fewer attempts than workers each travels alone; beyond that a message holds work for at most
    0.05 s, and every worker is left something.
    """
    groups: dict[tuple[str, int], list[Dispatch]] = {}
    for dispatch in dispatches:
        groups.setdefault((dispatch.queue, dispatch.priority), []).append(dispatch)
    messages: list[list[Dispatch]] = []
    for group in groups.values():
        seconds, workers = spread(group[0].order.skill)
        size = 1
        if seconds is not None:
            worth = int(_WORTH_S / max(seconds, 1e-4))
            size = max(1, min(_MOST_IN_MESSAGE, worth, len(group) // max(1, workers)))
        messages += [group[i : i + size] for i in range(0, len(group), size)]
    return sorted(messages, key=lambda message: -message[0].priority)


def _persist(publish: Callable[[], None]) -> None:
    """Publish until it succeeds; Redis may be away for a while."""
    delay = 0.05
    while True:
        try:
            publish()
        except (OperationalError, RedisError, OSError) as error:
            _log.warning("the queue does not take attempts now, trying again in %.1f s: %s", delay, error)
            time.sleep(delay)
            delay = min(delay * 2, 2.0)
        else:
            return
