"""Workers that stand by: the next attempt is given straight to the hands that have just become free.

A chain of short tasks spends most of its time between a worker and itself: through a list in Redis, Celery's main
process, a pipe, and all of it is work that the same worker has just finished doing. So while nothing else waits, a
worker that reports stays at hand for a moment, and an attempt that is dispatched in this moment is given to it: the
record of the dispatch names it, and so is its claim as well. The order is sent to it over NATS. Where several missions
wait, nobody stands by: their order is the queue's.

Nobody else may make what was given. Whether it has arrived is asked by sending the order again: a worker that has it
pays no heed, and one that has not, whose moment is over by then, gives the attempt back, which ends it without being
counted. A worker that does not answer either is lost, or its heartbeats say that it does not have the attempt.

Roads not taken: to give a worker the next task of a chain together with the first would save more, but what the next
one is told depends on how the first one ended. A queue for each worker would keep work back from others that are idle.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from events.signals import Signals
from orchestrator.task_queue.dispatch import Dispatch, Sender, key_of
from orchestrator.task_queue.sent import AttemptKey
from schemas.attempts import Given, spelled
from schemas.celery_wire import STANDBY_LONGEST_S, STANDBY_ORDERS, STANDBY_S
from schemas.signals import orders_subject

_ASKED_AFTER_S = (0.1, 0.2, 0.4, 0.8, 1.6)
"""After so many seconds without a word the order is sent again, each time after the last; then the lease decides."""
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
    after: str


class Queues(Sender, Protocol):
    """The ordinary way, and what it knows."""

    def quiet(self, queue: str, skill: str, reads: Callable[[str], bool]) -> bool:
        """Whether nothing waits in any queue of these, so that nobody is passed over, and nothing limits it."""

    def stands_by(self, attempt: AttemptKey) -> bool:
        """Whether the worker that makes this attempt was told to stand by afterwards. Asked once."""


class StandbySender:
    """Gives to workers that stand by, and sends to them; else to the queues.

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
        self._returned: dict[tuple[str, str, str], None] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        worker = self._at_hand(queue)
        if worker is None or attempt[:3] in self._returned:
            return None
        if not self._queues.quiet(queue, skill, self._free[worker].reads):
            return None
        free = self._free.pop(worker)
        if len(self._stays) >= _MOST_KNOWN:
            self._stays.clear()
        self._stays[attempt] = _Turn(free.turn.since, free.turn.orders + 1)
        return Given(worker=worker, after=free.after)

    def send(self, dispatch: Dispatch) -> None:
        if dispatch.order.given is None:
            self._queues.send(dispatch)
        elif key_of(dispatch.order) not in self._given:
            order = dispatch.order.model_dump_json(exclude_defaults=True).encode()
            self._say(key_of(dispatch.order), orders_subject(dispatch.order.given.worker), order, _ASKED_AFTER_S)

    def _say(self, attempt: AttemptKey, subject: str, order: bytes, again_s: Sequence[float]) -> None:
        loop = asyncio.get_running_loop()
        self._given.pop(attempt, None)
        if again_s:
            self._given[attempt] = loop.call_later(again_s[0], self._say, attempt, subject, order, again_s[1:])
        # At once, as far as it goes: it mostly goes all the way.
        task = asyncio.Task(self._signals.send(subject, order), loop=loop, eager_start=True)
        if not task.done():
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def again(self, dispatch: Dispatch) -> None:
        self._queues.again(dispatch)

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        if not self._has_it(attempt):  # the queues never had it: to tell them would wake their thread up for nothing
            self._queues.settled(attempt, queue, priority)

    def passed(self, queue: str, priority: int, count: int) -> None:
        self._queues.passed(queue, priority, count)

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        self._has_it(attempt)
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
        self._free[worker] = _Free(now + STANDBY_S * _RELIED_UPON, reads, turn, spelled(*attempt))

    def returned(self, attempt: AttemptKey) -> None:
        """Its task goes to the queue from now on: of what cannot be given there would be no end."""
        self._has_it(attempt)
        self._stays.pop(attempt, None)
        if len(self._returned) >= _MOST_KNOWN:
            self._returned.clear()
        self._returned[attempt[:3]] = None

    def close(self) -> None:
        for timer in self._given.values():
            timer.cancel()
        self._queues.close()

    def _at_hand(self, queue: str) -> str | None:
        now = self._monotonic()
        return next((name for name, free in self._free.items() if free.until > now and free.reads(queue)), None)

    def _has_it(self, attempt: AttemptKey) -> bool:
        """Take note that an attempt that was given needs no order any more; False if none was sent."""
        timer = self._given.pop(attempt, None)
        if timer is not None:
            timer.cancel()
        return timer is not None
