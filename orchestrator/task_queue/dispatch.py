"""Handing attempts to Celery: from a thread of its own, several to a message while there is a backlog."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

from orchestrator.task_queue.celery_message import MessageFactory, list_of
from orchestrator.task_queue.fairness import PRIORITY_STEP, FairQueue
from orchestrator.task_queue.rates import Bucket
from orchestrator.task_queue.sent import AttemptKey, Message, Sent
from schemas.attempts import AttemptOrder, Given
from schemas.celery_wire import celery_settings, wire_priority

_log = logging.getLogger(__name__)
_MOST_IN_MESSAGE = 50
_MOST_STANDING_BY = 10_000
_AHEAD = 2
"""Unclaimed messages a worker: one that it takes next, one that covers the time until this sender hears of it."""
_WORTH_S = 0.05
"""A message may hold work for this long: more would keep idle workers waiting for what another one has in its hands."""
_COST_S = 0.002
"""What a message costs by itself in processor time: less work than this is not worth another one, whoever is idle."""


def key_of(order: AttemptOrder) -> AttemptKey:
    """What tells an attempt from all others."""
    return order.tenant, order.mission, order.task, order.attempt


@dataclass(frozen=True, slots=True)
class _News:
    what: Literal["send", "again", "settled"]
    attempt: AttemptKey
    dispatch: Dispatch | None = None
    queue: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class _Passed:
    queue: str
    priority: int
    count: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An attempt on its way to a queue. ``weight``: the share of its mission among those of its tenant."""

    queue: str
    priority: int
    order: AttemptOrder
    weight: float = 1.0

    @property
    def tenant(self) -> str:
        return self.order.tenant

    @property
    def mission(self) -> str:
        return self.order.mission


_HIGHEST = 9
_TO_FRONT = """
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[1]) end
"""
"""Workers take from the right. What a worker has taken meanwhile is not there to be moved."""


class Sender(Protocol):
    """Takes attempts that are on the log and brings them to their queues."""

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        """The worker that an attempt is given to which would go to this queue, if it is to be anybody's from the
        beginning. Asked before it is recorded; it may come to nothing."""

    def send(self, dispatch: Dispatch) -> None:
        """Take one; never blocks, never fails: what cannot be sent now is sent later. To a worker that it was given to
        it may be sent again and again."""

    def again(self, dispatch: Dispatch) -> None:
        """Nobody claims it although somebody is idle: what was sent may be lost."""

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        """Told that an attempt was claimed, from this queue and with this priority, or need not be any more."""

    def passed(self, queue: str, priority: int, count: int) -> None:
        """Told that so many attempts that others sent were claimed from this queue with this priority."""

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        """Told that a worker has reported an attempt, and which queues it reads."""

    def returned(self, attempt: AttemptKey) -> None:
        """Told that a worker was given an attempt and did not begin it."""

    def close(self) -> None:
        """Stop. What was not sent yet is sent by whoever finds it unclaimed on the log."""


class Spread(Protocol):
    """What a sender wants to know of a skill to fill its messages."""

    def __call__(self, skill: str, queue: str) -> tuple[float | None, int, float]:
        """How long an attempt takes in seconds, if known; how many workers read the queue; which part of it is due to
        this sender, 1 if there is no other."""


class CelerySender:
    """Sends over Celery's Redis transport, just enough to keep every worker busy.

    What is sent cannot be ordered or filled into messages any more. So a queue holds about two unclaimed messages a
    worker, and the rest waits here: by the time it goes, it is known how long the work takes, what came later with a
    higher priority goes first, and missions and tenants take turns.

    It has a thread of its own, because Redis may be away for a while, and nothing else should wait for it.

    Args:
        rates: attempts a second by skill, where there is a limit.
        tenant_weights: the shares of tenants; 1 where there is none.
        priority_step: how many times the turns of the priority below each priority has.
        standby: whether workers that will find nothing else to do are told to stand by: see
            :mod:`orchestrator.task_queue.standby`.
    """

    def __init__(
        self,
        redis_url: str,
        spread: Spread,
        *,
        rates: Mapping[str, float] = MappingProxyType({}),
        tenant_weights: Mapping[str, float] = MappingProxyType({}),
        priority_step: float = PRIORITY_STEP,
        standby: bool = False,
    ) -> None:
        self._standby = standby
        app = Celery("stigmergy.dispatch", set_as_current=False)
        app.conf.update(celery_settings(redis_url))
        self._factory = MessageFactory(app)
        self._redis = Redis.from_url(redis_url, socket_timeout=10, socket_connect_timeout=5, health_check_interval=10)
        self._spread = spread
        self._news: queue.SimpleQueue[_News | _Passed | None] = queue.SimpleQueue()
        self._backlog: dict[str, FairQueue[Dispatch]] = {}
        self._tenant_weights = tenant_weights
        now = time.monotonic()
        self._buckets = {skill: Bucket(rate, now) for skill, rate in rates.items()}
        self._look_again_s: float | None = None
        self._waiting: set[AttemptKey] = set()
        self._lost: list[Dispatch] = []
        self._sent = Sent(priority_step)
        self._hurt: list[Message] = []
        self._to_front = self._redis.register_script(_TO_FRONT)
        self._priority_step = priority_step
        self._standing_by: dict[AttemptKey, bool] = {}
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
        self._thread.start()

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        """To nobody: whoever is free claims it."""
        return None

    def send(self, dispatch: Dispatch) -> None:
        self._news.put(_News("send", key_of(dispatch.order), dispatch))

    def again(self, dispatch: Dispatch) -> None:
        self._news.put(_News("again", key_of(dispatch.order), dispatch))

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        self._news.put(_News("settled", attempt, None, queue, priority))

    def passed(self, queue: str, priority: int, count: int) -> None:
        self._news.put(_Passed(queue, priority, count))

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        """Nothing to do: what counts here is the claim."""

    def returned(self, attempt: AttemptKey) -> None:
        """Nothing to do: nobody was given anything."""

    def quiet(self, queue: str, skill: str, reads: Callable[[str], bool]) -> bool:
        """Whether an order could go past this sender to a worker that reads these queues, and pass nobody over."""
        _, _, share = self._spread(skill, queue)
        return (
            share == 1.0  # nor past what other managers want of the queue
            and self._news.empty()
            and skill not in self._buckets
            and not any(reads(name) for name in (*list(self._backlog), *self._sent.queues()))
        )

    def stands_by(self, attempt: AttemptKey) -> bool:
        """Whether the message of this attempt told its worker to stand by. Asked once."""
        return self._standing_by.pop(attempt, False)

    def close(self) -> None:
        self._news.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while self._take_in():
            for dispatch in self._lost:
                self._persist([dispatch], Message(dispatch.queue, dispatch.priority))
            self._lost.clear()
            while self._hurt:
                self._bring_to_front(self._hurt.pop(0))
            self._look_again_s = None
            for name in list(self._backlog):
                self._send_some(name)
        self._redis.close()

    def _take_in(self) -> bool:
        """Wait for news, or until a rate lets more go, and sort it in. False when it is time to stop."""
        try:
            news = [self._news.get(timeout=self._look_again_s)]
        except queue.Empty:
            return True
        while not self._news.empty():
            news.append(self._news.get_nowait())
        for item in news:
            if isinstance(item, _Passed):
                self._hurt += self._sent.passed(item.queue, item.priority, item.count)
            elif item is not None:
                self._sort_in(item)
        return None not in news

    def _sort_in(self, news: _News) -> None:
        attempt, dispatch = news.attempt, news.dispatch
        if dispatch is None:
            self._waiting.discard(attempt)
            self._hurt += self._sent.claimed(attempt, news.queue, news.priority)
        elif attempt in self._sent:
            if news.what == "again":
                self._lost.append(dispatch)
        elif attempt not in self._waiting:
            self._waiting.add(attempt)
            fair = self._backlog.get(dispatch.queue)
            if fair is None:
                fair = self._backlog[dispatch.queue] = FairQueue(self._tenant_weight, self._priority_step)
            fair.put(dispatch)

    def _tenant_weight(self, tenant: str) -> float:
        return self._tenant_weights.get(tenant, 1.0)

    def _send_some(self, name: str) -> None:
        backlog = self._backlog[name]
        while len(backlog):
            first, waiting = backlog.first()
            seconds, workers, share = self._spread(first.order.skill, name)
            if self._sent.count(name) >= max(1, round(_AHEAD * max(1, workers) * share)):
                return
            size = min(fill(waiting, seconds, workers), self._allowed(first.order.skill, share))
            if not size:
                return
            message = Message(name, backlog.highest)
            # What was settled while it waited, for instance cancelled, is not sent any more.
            taken = [dispatch for dispatch in backlog.take(size) if key_of(dispatch.order) in self._waiting]
            if taken:
                if (bucket := self._buckets.get(first.order.skill)) is not None:
                    bucket.take(len(taken))
                self._remember(message, taken)
                self._persist(taken, message, standby=self._may_stand_by(name, taken, workers))
        del self._backlog[name]

    def _may_stand_by(self, name: str, message: Sequence[Dispatch], workers: int) -> bool:
        """Whether the worker that takes this message will find nothing else to do: a single attempt, none behind it,
        and a worker for each message."""
        alone = len(message) == 1 and not len(self._backlog[name]) and self._sent.count(name) <= max(1, workers)
        if not self._standby or not alone or message[0].order.skill in self._buckets:
            return False
        if len(self._standing_by) >= _MOST_STANDING_BY:
            self._standing_by.clear()
        self._standing_by[key_of(message[0].order)] = True
        return True

    def _allowed(self, skill: str, share: float) -> int:
        """How many attempts of the skill may go now; if none, it is looked at again when one may."""
        bucket = self._buckets.get(skill)
        if bucket is None:
            return _MOST_IN_MESSAGE
        allowed = bucket.available(time.monotonic(), share)
        if not allowed:
            self._look_again_s = min(bucket.next_s(share), self._look_again_s or bucket.next_s(share))
        return allowed

    def _remember(self, message: Message, orders: Sequence[Dispatch]) -> None:
        keys = [key_of(dispatch.order) for dispatch in orders]
        self._waiting.difference_update(keys)
        self._sent.add(message, keys)

    def _persist(self, orders: Sequence[Dispatch], message: Message, *, standby: bool = False) -> None:
        """Publish until it succeeds; Redis may be away for a while."""
        delay = 0.05
        texts = [dispatch.order.model_dump_json(exclude_defaults=True) for dispatch in orders]
        message.place, message.raw = self._factory.make(texts, message.queue, message.priority, standby=standby)
        while True:
            try:
                self._redis.lpush(message.place, message.raw)
            except (RedisError, OSError) as error:
                _log.warning("the queue does not take attempts now, trying again in %.1f s: %s", delay, error)
                time.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                return

    def _bring_to_front(self, message: Message) -> None:
        front = list_of(message.queue, wire_priority(_HIGHEST))
        if message.claimed or message.place == front:
            return
        try:
            self._to_front(keys=[message.place, front], args=[message.raw])
        except (RedisError, OSError) as error:
            message.passed_over = 0.0  # it has to lose another turn first; by then Redis may be there
            _log.warning("a message that was passed over stays where it is: %s", error)
        else:
            message.place, message.priority = front, _HIGHEST


def fill(waiting: int, seconds: float | None, workers: int) -> int:
    """How many of the waiting attempts go into one message.

    One, as long as nobody knows how long one takes. Then as many as leave every worker a message, but at least as many
    as are done in 2 ms, and at most as many as are done in 0.05 s.

    Args:
        waiting: attempts of one queue and priority, at least 1.
        seconds: how long one takes, if known.
        workers: how many take them.
    """
    if seconds is None:
        return 1
    each = max(seconds, 1e-4)
    fair = max(waiting // max(1, workers), min(waiting, int(_COST_S / each)))
    return max(1, min(_MOST_IN_MESSAGE, int(_WORTH_S / each), fair))
