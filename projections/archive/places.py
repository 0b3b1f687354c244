"""Where an archive is kept: a folder on a disk. Object stores: ``projections.archive.arrow_place``."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from projections.archive.errors import ArchiveUnavailable, explained

PART = ".part"
"""How the names of files end that are still being written."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its path below the place, with ``/``; its size in bytes; its age in seconds of the POSIX epoch."""

    path: str
    size: int
    changed: float


class Place(Protocol):
    """Files by path. What a method has returned from is durable. Blocks: call it from a thread.

    All raise :class:`~schemas.errors.DiskFull` and :class:`~projections.archive.errors.ArchiveUnavailable`.
    """

    @property
    def name(self) -> str:
        """For people; without credentials."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole; nobody sees half of it."""

    def create(self, path: str, data: bytes) -> bool:
        """As :meth:`write`, but only if there is none yet: False if there is."""

    def read(self, path: str) -> bytes:
        """All bytes. Raises ``FileNotFoundError``."""

    def open(self, path: str) -> BinaryIO:
        """For reading here and there. Raises ``FileNotFoundError``."""

    def list(self, folder: str) -> list[Found]:
        """All files below a folder, at any depth; none if it is not there."""

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""


class FolderPlace:
    """A folder of this machine: written beside, synced, renamed, and the folder synced."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        return str(self._root)

    def write(self, path: str, data: bytes) -> None:
        with explained(f"write {path}"):
            self._placed(path, data, os.replace)

    def create(self, path: str, data: bytes) -> bool:
        with explained(f"write {path}"):
            try:
                # Unlike a rename, a link refuses a name that is taken.
                self._placed(path, data, os.link)
            except FileExistsError:
                return False
        return True

    def read(self, path: str) -> bytes:
        with explained(f"read {path}"):
            return (self._root / path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        with explained(f"read {path}"):
            return (self._root / path).open("rb")

    def list(self, folder: str) -> list[Found]:
        found: list[Found] = []
        with explained(f"list {folder or 'its folder'}"):
            for where, _, names in os.walk(self._root / folder):
                for name in names:
                    path = Path(where) / name
                    try:
                        stat = path.stat()
                    except FileNotFoundError:  # removed in this moment
                        continue
                    found.append(Found(path.relative_to(self._root).as_posix(), stat.st_size, stat.st_mtime))
        return found

    def remove(self, path: str) -> None:
        with explained(f"remove {path}"):
            (self._root / path).unlink(missing_ok=True)

    def _placed(self, path: str, data: bytes, put: _Put) -> None:
        target = self._root / path
        _make(target.parent)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART}")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            put(part, target)
        except FileNotFoundError as error:  # swept, or its folder removed
            raise ArchiveUnavailable(f"{path} vanished while it was written", hint="try again") from error
        finally:
            part.unlink(missing_ok=True)
        _sync(target.parent)


class _Put(Protocol):
    def __call__(self, src: Path, dst: Path, /) -> None: ...


def _make(folder: Path) -> None:
    """A folder that survives a power cut: its entry in the folder above is synced, too."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
