"""Workers that stand by: the next order goes straight to the hands that have just become free.

A chain of short tasks spends most of its time between a worker and itself: through a list in Redis, Celery's main
process, a pipe, and all of it is work that the same worker has just finished doing. So while nothing else waits, a
worker that reports stays at hand for a moment, and an order that is dispatched in this moment is sent to it over NATS.

It is the same order, recorded before and claimed afterwards like every other; only its way differs. If it is not
claimed soon, it takes the ordinary way as well, which is harmless, because the log lets one worker claim it. Where
several missions wait, nobody stands by: their order is the queue's.

Roads not taken: to give a worker the next task of a chain together with the first would save more, but what the next
one is told depends on how the first one ended. A queue for each worker would keep work back from others that are idle.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from events.signals import Signals
from orchestrator.task_queue.dispatch import Dispatch, Sender, key_of
from orchestrator.task_queue.sent import AttemptKey
from schemas.celery_wire import STANDBY_LONGEST_S, STANDBY_ORDERS, STANDBY_S
from schemas.signals import orders_subject

_CLAIMED_WITHIN_S = 0.1
_RELIED_UPON = 0.7
"""The part of its time after which a worker is no longer relied upon: the order has to reach it."""
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Turn:
    """How long a worker has been standing by again and again: since when, and how many orders came to it so."""

    since: float
    orders: int = 0


@dataclass(frozen=True, slots=True)
class _Free:
    until: float
    reads: Callable[[str], bool]
    turn: _Turn


class Queues(Sender, Protocol):
    """The ordinary way, and what it knows."""

    def quiet(self, dispatch: Dispatch, reads: Callable[[str], bool]) -> bool:
        """Whether nothing waits in any queue of these, so that nobody is passed over, and nothing limits it."""

    def stands_by(self, attempt: AttemptKey) -> bool:
        """Whether the worker that makes this attempt was told to stand by afterwards. Asked once."""


class StandbySender:
    """Sends to workers that stand by, else to the queues.

    Args:
        queues: the ordinary way.
        signals: where workers hear of orders.
        monotonic: seconds.
    """

    def __init__(self, queues: Queues, signals: Signals, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._queues = queues
        self._signals = signals
        self._monotonic = monotonic
        self._free: dict[str, _Free] = {}
        self._given: dict[AttemptKey, asyncio.TimerHandle] = {}
        self._stays: dict[AttemptKey, _Turn] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, dispatch: Dispatch) -> None:
        worker = self._at_hand(dispatch.queue)
        if worker is None or not self._queues.quiet(dispatch, self._free[worker].reads):
            self._queues.send(dispatch)
            return
        turn = self._free.pop(worker).turn
        key = key_of(dispatch.order)
        if len(self._stays) >= _MOST_KNOWN:
            self._stays.clear()
        self._stays[key] = _Turn(turn.since, turn.orders + 1)
        loop = asyncio.get_running_loop()
        self._given[key] = loop.call_later(_CLAIMED_WITHIN_S, self._unclaimed, dispatch)
        order = dispatch.order.model_dump_json(exclude_defaults=True).encode()
        # At once, as far as it goes: it mostly goes all the way.
        task = asyncio.Task(self._signals.send(orders_subject(worker), order), loop=loop, eager_start=True)
        if not task.done():
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def again(self, dispatch: Dispatch) -> None:
        self._queues.again(dispatch)

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        if (timer := self._given.pop(attempt, None)) is not None:
            timer.cancel()
            return  # the queues never had it: to tell them would wake their thread up for nothing
        self._queues.settled(attempt, queue, priority)

    def passed(self, queue: str, priority: int, count: int) -> None:
        self._queues.passed(queue, priority, count)

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        self._queues.finished(attempt, worker, reads)
        now = self._monotonic()
        turn = self._stays.pop(attempt, None)
        if turn is None:
            if not self._queues.stands_by(attempt):
                return
            turn = _Turn(now)
        elif turn.orders >= STANDBY_ORDERS or now - turn.since > STANDBY_LONGEST_S * _RELIED_UPON:
            return  # Celery has its process back
        self._free = {name: free for name, free in self._free.items() if free.until > now}
        self._free[worker] = _Free(now + STANDBY_S * _RELIED_UPON, reads, turn)

    def close(self) -> None:
        for timer in self._given.values():
            timer.cancel()
        self._queues.close()

    def _at_hand(self, queue: str) -> str | None:
        now = self._monotonic()
        return next((name for name, free in self._free.items() if free.until > now and free.reads(queue)), None)

    def _unclaimed(self, dispatch: Dispatch) -> None:
        self._given.pop(key_of(dispatch.order), None)
        self._queues.send(dispatch)
