"""Logs that stay small, and their last lines."""

from __future__ import annotations

import shutil
from pathlib import Path

LOG_CAP_BYTES = 10 * 2**20
"""A log is turned over beyond this; one older piece is kept, so a process may fill twice as much."""


def size(path: Path) -> int:
    """Bytes in a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def tail(path: Path, lines: int, *, since: int = 0) -> str:
    """The last ``lines`` lines after byte ``since`` of a text file, 64 KiB at most; empty if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - 2**16))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "".join(text.splitlines(keepends=True)[-lines:])


def turn_over(path: Path, cap: int = LOG_CAP_BYTES) -> bool:
    """If ``path`` is over ``cap`` bytes, keep its last ``cap`` bytes as ``NAME.1`` and empty it; whether it was done.

    Copy and truncate, as the writer holds the file open (in append mode, so it goes on at the new end). Lines written
    between copy and truncation are lost. A pipe through us would lose none, but it would stop every process when we
    are slow, and each line would cost us time.
    """
    try:
        full = size(path)
        if full <= cap:
            return False
        with path.open("rb") as source, path.with_name(path.name + ".1").open("wb") as target:
            source.seek(full - cap)
            shutil.copyfileobj(source, target)
        with path.open("r+b") as file:
            file.truncate(0)
    except FileNotFoundError:
        return False
    return True
