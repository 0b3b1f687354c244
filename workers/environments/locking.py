"""One builder at a time for each environment, also among processes. The kernel frees the lock of one that dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import TimedOut

WAIT_S = 900.0
ASK_EVERY_S = 0.1


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file; ``waiting`` is told once when another holds it.

    Raises:
        TimedOut: the other did not finish within 15 minutes.
    """
    deadline = time.monotonic() + WAIT_S
    told = False
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting()
                    told = True
                if time.monotonic() > deadline:
                    hint = "look for a stuck worker, or remove the environment store"
                    raise TimedOut(f"the lock {path.name} was not freed in {WAIT_S:.0f} s", hint=hint) from None
                time.sleep(ASK_EVERY_S)
        yield
