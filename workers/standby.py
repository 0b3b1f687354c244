"""What comes to a worker directly while it stands by: see :mod:`schemas.celery_wire`, ``STANDBY_S``."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

_MOST = 100
_NO_LONGER_S = 5.0


class Standby:
    """Orders that were sent to this worker itself."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def hear(self, order: bytes) -> None:
        """Called in the thread of the bus."""
        self._orders.put(order)

    def orders(self, wait_s: float) -> Iterator[str]:
        """What comes, for as long as the next order comes within ``wait_s`` seconds.

        After a hundred of them, or some seconds, Celery gets its process back: it counts messages, looks at its memory,
        and gives a message to somebody else that is not acknowledged for too long.

        Raises:
            UnicodeDecodeError: an order is no text.
        """
        begun = time.monotonic()
        for _ in range(_MOST):
            try:
                order = self._orders.get(timeout=wait_s)
            except queue.Empty:
                return
            yield order.decode()
            if time.monotonic() - begun > _NO_LONGER_S:
                return

    def forget(self) -> None:
        """What came when nobody waited for it has gone to a queue meanwhile."""
        while not self._orders.empty():
            self._orders.get_nowait()
