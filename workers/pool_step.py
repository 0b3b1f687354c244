"""What the main process of a pool does beside Celery: follow board and notebook, end children that grow too large."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import psutil
from celery import bootsteps

from workers.board import Board
from workers.notebook import Notebook
from workers.registry import queues_of

_log = logging.getLogger(__name__)
_LOOK_S = 0.25
_MEMORY_S = 1.0
_OVER = 1.25
"""Celery replaces a child above its limit after the attempt. One that is so far above it is ended in the attempt."""
_MIB = 2**20


class PoolStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of Celery's worker. Set the attributes before the worker starts."""

    requires = ("celery.worker.components:Pool",)
    board: Board | None = None
    notebook: Notebook | None = None
    profile: str = ""
    memory_mb: int = 0
    _read = 0

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Celery calls this when its event loop is there."""
        hub.call_repeatedly(_LOOK_S, self._follow, worker)
        hub.call_repeatedly(_LOOK_S, self._learn, worker)
        if self.memory_mb:
            hub.call_repeatedly(_MEMORY_S, self._end_large)

    def _follow(self, worker: Any) -> None:
        """Replace children that have died, and have as many as the board says."""
        if self.board is None or self.board.draining:
            return
        # Celery looks once when a child's pipe closes, which may be a moment before the child can be waited for, and
        # then every 5 s: for so long half a pool of two did nothing. Nor is one that was told to end chosen again.
        worker.pool.maintain_pool()
        missing = self.board.size - worker.pool.num_processes
        if not self.board.size:
            return
        if missing > 0:
            worker.pool.grow(missing)
            worker.pool.maintain_pool()  # grow only sets the number
            worker.consumer._update_prefetch_count(missing)
        elif missing < 0 and len(worker.pool._pool._pool) <= worker.pool.num_processes and _shrink(worker.pool):
            worker.consumer._update_prefetch_count(-1)

    def _learn(self, worker: Any) -> None:
        """Read the queues of skills that agents of the pool have learned."""
        if self.notebook is None or not getattr(worker.consumer, "task_consumer", None):
            return  # not connected yet, or between two connections
        self._read, cards = self.notebook.since(self._read)
        for queue in (queue for card in cards for queue in queues_of(card.id, self.profile)):
            _log.info("the pool has learned: it reads %s", queue)
            worker.consumer.add_task_queue(queue)

    def _end_large(self) -> None:
        for child in psutil.Process().children():
            try:
                used = child.memory_info().rss / _MIB
            except psutil.NoSuchProcess:
                continue
            if used > self.memory_mb * _OVER:
                _log.error(
                    "child %d holds %.0f MiB of %d and is ended; its attempt goes to others",
                    child.pid, used, self.memory_mb,
                )  # fmt: skip
                os.kill(child.pid, signal.SIGKILL)


def _shrink(pool: Any) -> bool:
    """End one idle child. False if there is none now: looked at again soon."""
    try:
        pool.shrink(1)
    except ValueError:
        return False
    return True
