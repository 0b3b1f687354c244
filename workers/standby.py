"""What is given to a worker while it stands by: see :mod:`schemas.celery_wire`, ``STANDBY_S``.

An attempt that is given is nobody else's to make, so its worker answers for one of two things: it begins at once, or
gives the attempt back, and never begins it afterwards. It is given for the moment after a report. Begun is only what
comes within half a second of that report, by the worker's own clock, so a process that was stopped for a while, or
heard nothing for a while, does not begin what a lease has ended meanwhile.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from schemas.attempts import AttemptOrder, spelled
from schemas.celery_wire import GIVEN_WITHIN_S, STANDBY_LONGEST_S, STANDBY_ORDERS

_MOST_KNOWN = 1000
type Taken = tuple[AttemptOrder, float]
"""An order that was taken, and the monotonic instant after which it may not be begun."""


class Box(Protocol):
    """Where orders wait for the thread that makes attempts: a :class:`queue.SimpleQueue`, for instance."""

    def put(self, item: Taken) -> None:
        """Never waits."""

    def get(self, *, timeout: float) -> Taken:
        """Raises :class:`queue.Empty` if nothing comes in so many seconds."""

    def get_nowait(self) -> Taken:
        """Raises :class:`queue.Empty` if there is nothing."""


class Standby:
    """Orders that were given to this worker itself.

    Args:
        take: has an attempt in hand from now on, or says False if it must not. Called in the thread of the bus, must
            be quick.
        refuse: gives an attempt back; called in any thread, must not wait.
        came: from the thread of the bus to the one that makes attempts.
    """

    def __init__(
        self,
        take: Callable[[AttemptOrder], bool],
        refuse: Callable[[AttemptOrder], None],
        came: Box | None = None,
    ) -> None:
        self._take = take
        self._refuse = refuse
        self._came = came or queue.SimpleQueue[Taken]()
        self._lock = threading.Lock()
        self._serves = False
        self._moment = ""
        self._until = 0.0
        self._known: dict[str, None] = {}

    def serve(
        self,
        first: Callable[[], None],
        make: Callable[[AttemptOrder], None],
        wait_s: float,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Do ``first``, which makes what a message says, then ``make`` what is given for as long as the next one comes
        within ``wait_s`` seconds and it is not ``enough``.

        After many of them, or some seconds, Celery gets its process back; :mod:`schemas.celery_wire` says when and why.
        What was taken is made before, or given back if something is raised.
        """
        with self._lock:
            self._serves = True
        try:
            first()
            for order in self._orders(wait_s, enough):
                make(order)
        finally:
            while (given := self._last()) is not None:
                self._refuse(given[0])

    def reporting(self, order: AttemptOrder) -> None:
        """The report of this attempt is about to be sent: from now on an order may come that answers it."""
        with self._lock:
            if self._serves:
                self._moment = spelled(order.tenant, order.mission, order.task, order.attempt)
                self._until = time.monotonic() + GIVEN_WITHIN_S

    def hear(self, order: AttemptOrder) -> None:
        """Take an order or give it back; what was heard before is not heard again. Called in the thread of the bus."""
        name = spelled(order.tenant, order.mission, order.task, order.attempt)
        with self._lock:
            if name in self._known or order.given is None:
                return
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[name] = None
            meant = order.given.after == self._moment and time.monotonic() <= self._until
            taken = meant and self._take(order)
            if taken:
                self._moment = ""
                self._came.put((order, self._until))
        if not taken:
            self._refuse(order)

    def _orders(self, wait_s: float, enough: Callable[[], bool]) -> Iterator[AttemptOrder]:
        begun, made, over = time.monotonic(), 0, False
        while (given := self._last() if over else self._next(wait_s)) is not None:
            order, until = given
            if time.monotonic() > until:
                self._refuse(order)
                return
            yield order
            made += 1
            over = over or made >= STANDBY_ORDERS or time.monotonic() - begun > STANDBY_LONGEST_S or enough()

    def _next(self, wait_s: float) -> Taken | None:
        try:
            return self._came.get(timeout=wait_s)
        except queue.Empty:
            return self._last()  # something may have come at the last moment

    def _last(self) -> Taken | None:
        """What was taken and is not begun yet, after which nothing more is taken."""
        with self._lock:
            self._serves, self._moment = False, ""
            try:
                return self._came.get_nowait()
            except queue.Empty:
                return None
