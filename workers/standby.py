"""What comes to a worker directly while it stands by: see :mod:`schemas.celery_wire`, ``STANDBY_S``.

An order that comes while the worker waits for it is claimed in the thread of the bus, where it has come. To go to the
thread that makes attempts, back to the bus with the claim and there again with the answer takes two wake-ups more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from schemas.celery_wire import STANDBY_LONGEST_S, STANDBY_ORDERS

Work = Callable[[], None]
"""What is to be done about an order, in the thread that makes attempts. It may raise what the log refuses."""


class Standby:
    """Orders that were sent to this worker itself.

    Args:
        make: claims and makes an order, if it is ours.
        claim: called in the thread of the bus, must be quick. It claims an order and calls what it is given once it is
            known whether it is ours, with what is left to do; always, whatever happens.
    """

    def __init__(self, make: Callable[[bytes], None], claim: Callable[[bytes, Callable[[Work], None]], None]) -> None:
        self._make = make
        self._claim = claim
        self._lock = threading.Lock()
        self._came: queue.SimpleQueue[tuple[Work, bool]] = queue.SimpleQueue()
        self._waits = False
        self._owed = 0  # claims that were begun and whose work was not handed out

    def hear(self, order: bytes) -> None:
        """Called in the thread of the bus."""
        with self._lock:
            if not self._waits:
                self._came.put((lambda: self._make(order), False))
                return
            self._waits, self._owed = False, self._owed + 1
        self._claim(order, lambda work: self._came.put((work, True)))

    def orders(self, wait_s: float, enough: Callable[[], bool] = lambda: False) -> Iterator[Work]:
        """What comes, for as long as the next order comes within ``wait_s`` seconds and it is not ``enough``.

        After many of them, or some seconds, Celery gets its process back; :mod:`schemas.celery_wire` says when and why.
        What was claimed is made before.
        """
        begun, made = time.monotonic(), 0
        while (work := self._next(wait_s)) is not None:
            yield work
            made += 1
            over = made >= STANDBY_ORDERS or time.monotonic() - begun > STANDBY_LONGEST_S or enough()
            if over and not self._owed:
                return

    def _next(self, wait_s: float) -> Work | None:
        with self._lock:
            self._waits = self._came.empty() and not self._owed
            wanted = wait_s if self._waits else None
        try:
            work, claimed = self._came.get(timeout=wanted)
        except queue.Empty:
            with self._lock:
                self._waits = False
                if not self._owed:
                    return None
            work, claimed = self._came.get()  # it came at the last moment, and may be ours by now
        with self._lock:
            self._waits = False
            self._owed -= claimed
        return work

    def forget(self) -> None:
        """What came when nobody waited for it has gone to a queue meanwhile."""
        while not self._came.empty():
            self._came.get_nowait()
