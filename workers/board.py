"""What the main process of a pool and its children tell one another: a few bytes of memory that they share.

Calls reach the children, which have a connection to NATS; the main process has none, because a process with threads
should not fork. Pipes would need readers on both sides; these are numbers that are looked at now and then.
"""

from __future__ import annotations

import mmap
import struct
import time

_FORM = struct.Struct("<?xxxid")


class Board:
    """Shared by a process and the children that it forks after making the board.

    ``size`` is how many workers the pool shall have; 0 before anybody asked for another number than at the start.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FORM.size)

    @property
    def draining(self) -> bool:
        return bool(self._read()[0])

    @property
    def size(self) -> int:
        return int(self._read()[1])

    def wants(self, size: int) -> None:
        """The pool shall have so many workers."""
        draining, _, deadline = self._read()
        self._memory[:] = _FORM.pack(draining, size, deadline)

    def drain(self, grace_s: float) -> bool:
        """The pool shall end. False if somebody said so before: the first grace counts."""
        draining, size, _ = self._read()
        if draining:
            return False
        self._memory[:] = _FORM.pack(True, size, time.monotonic() + grace_s)
        return True

    def overdue_s(self) -> float:
        """Seconds since the grace ended; negative before that, and while the pool does not drain."""
        draining, _, deadline = self._read()
        return time.monotonic() - deadline if draining else -float("inf")

    def _read(self) -> tuple[bool, int, float]:
        return _FORM.unpack(self._memory[:])
