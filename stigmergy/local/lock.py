"""A lock between processes that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import Conflict
from stigmergy.local.layout import no_write


@contextmanager
def exclusive(path: Path, *, wait_s: float, busy: str, hint: str) -> Iterator[None]:
    """Hold ``path`` for the block; waits up to ``wait_s`` seconds, then raises :class:`Conflict` with ``busy``.

    It is ``flock``, not a file with a pid in it: such a file outlives SIGKILL and then needs guessing. Children do not
    inherit it, as Python opens files with close-on-exec.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise no_write(path, error) from error
    try:
        deadline = time.monotonic() + wait_s
        while not _try(descriptor):
            if time.monotonic() >= deadline:
                raise Conflict(busy, hint=hint)
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
