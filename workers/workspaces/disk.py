"""A full disk is told apart from all other trouble with files, because waiting or cleaning mends it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded")


def disk_full(what: str) -> DiskFull:
    """The error for ``what`` could not be written."""
    return DiskFull(f"no space is left to write {what}", hint="free some space, or collect old workspaces")


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Raise DiskFull where the body fails for lack of space; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(what) from error
        raise
