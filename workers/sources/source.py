"""A fetched repository, and how large one may be."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.errors import DiskFull, InvalidSource

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A repository in a folder of ours.

    Attributes:
        origin: where it came from, without secrets.
        folder: where it is now; its root.
        requirement: what installs the same release from the index; None unless it came from there.
        revision: the commit, for git and for folders under git.
        notes: what was left out.
    """

    kind: Literal["path", "git", "pypi"]
    origin: str
    name: str
    folder: Path
    version: str | None = None
    requirement: str | None = None
    revision: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """How large a repository may be, unpacked, and how long fetching it may take."""

    total_bytes: int = 512 * 1024 * 1024
    files: int = 50_000
    wall_s: float = 300.0


class Meter:
    """Counts what is taken in, and refuses what goes over the limits."""

    def __init__(self, origin: str, limits: SourceLimits) -> None:
        self._origin = origin
        self._limits = limits
        self._bytes = 0
        self._files = 0

    def add(self, size: int) -> None:
        """Count one more file of ``size`` bytes.

        Raises:
            InvalidSource: the repository is over a limit.
        """
        self._bytes += size
        self._files += 1
        if self._bytes > self._limits.total_bytes:
            told = f"{self._origin} is larger than {self._limits.total_bytes // 1024**2} MiB"
            raise InvalidSource(told, hint="name a smaller folder, or ignore large files in .gitignore")
        if self._files > self._limits.files:
            told = f"{self._origin} has more than {self._limits.files} files"
            raise InvalidSource(told, hint="name a smaller folder, or ignore generated files in .gitignore")


@contextmanager
def disk_errors(into: Path) -> Iterator[None]:
    """Turn a full disk into `DiskFull`; other operating system errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space is left at {into}", hint="free space there or choose another place") from error
        raise
