"""Celery's place: attempts on their way to workers. Some are lost, some come twice, all take a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from orchestrator.task_queue.dispatch import Dispatch, key_of
from orchestrator.task_queue.sent import AttemptKey
from schemas.attempts import AttemptOrder, Given
from tests.simulation.fates import Fates

_MOST_IN_MESSAGE = 3


class Queue:
    """All queues of the fleet; a :class:`~orchestrator.task_queue.dispatch.Sender` at one end."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self._chance = fates.stream("queue")
        self._waiting: list[tuple[int, int, AttemptOrder, str]] = []
        self._count = 0
        self._standing_by: dict[AttemptKey, bool] = {}
        self._news = asyncio.Event()

    def send(self, dispatch: Dispatch) -> None:
        if self._fates.strikes("queue_lost"):
            return
        for _ in range(2 if self._fates.strikes("queue_doubled") else 1):
            delay = self._chance.random() * 0.02
            if self._fates.strikes("queue_late"):
                delay += self._fates.size("queue_late", 0.2, 6.0)
            asyncio.get_running_loop().call_later(delay, self._put, dispatch)

    def again(self, dispatch: Dispatch) -> None:
        self.send(dispatch)

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        """Nothing is kept back here."""

    def passed(self, queue: str, priority: int, count: int) -> None:
        """Nothing is kept back here."""

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        """To nobody."""
        return None

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        """Nothing is kept back here."""

    def returned(self, attempt: AttemptKey) -> None:
        """Nothing was given."""

    def quiet(self, queue: str, skill: str, reads: Callable[[str], bool]) -> bool:
        """Whether nothing waits that a worker which reads these queues could take."""
        return not any(reads(waiting[3]) for waiting in self._waiting)

    def stands_by(self, attempt: AttemptKey) -> bool:
        """Whether the worker that takes this attempt was told to stand by afterwards. Asked once."""
        return self._standing_by.pop(attempt, False)

    def close(self) -> None:
        """Nothing to let go."""

    def _put(self, dispatch: Dispatch) -> None:
        self._count += 1
        self._waiting.append((-dispatch.priority, self._count, dispatch.order, dispatch.queue))
        self._waiting.sort(key=lambda waiting: waiting[:2])
        self._news.set()

    async def take(self, queues: Sequence[str]) -> tuple[list[AttemptOrder], bool]:
        """The next message in one of these queues: one order or a few, and whether to stand by afterwards."""
        while True:
            fit = [waiting for waiting in self._waiting if waiting[3] in queues]
            if fit:
                taken = fit[: self._chance.randint(1, _MOST_IN_MESSAGE)]
                self._waiting = [waiting for waiting in self._waiting if waiting not in taken]
                orders = [order for _, _, order, _ in taken]
                alone = len(orders) == 1
                if alone:
                    self._standing_by[key_of(orders[0])] = True
                return orders, alone
            self._news.clear()
            await self._news.wait()
