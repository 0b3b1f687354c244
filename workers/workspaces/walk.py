"""Read a folder that a guest may have prepared against us.

Every step goes through the handle of its parent folder and follows no symlink, so that nothing outside can be read,
also when something is swapped while we look. `git add` was the other road: it takes nested repositories for submodules
and opens files by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import Conflict, InvalidInput, LimitExceeded, PayloadTooLarge

NOISE = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"})
MIB = 1 << 20
_CHUNK = MIB
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Limits:
    """How large a workspace may be.

    Attributes:
        size_bytes: of all files together.
        files: number of files and symlinks.
        depth: how deep folders may nest.
        path_bytes: length of one path below the root; kernels take about 4096 for a whole path.
    """

    size_bytes: int = 512 * MIB
    files: int = 100_000
    depth: int = 128
    path_bytes: int = 3000


@dataclass(frozen=True)
class Entry:
    """One file or symlink. ``data`` yields exactly ``size`` bytes, and must be read before the next entry is taken."""

    path: bytes
    mode: bytes
    size: int
    data: Iterator[bytes]


@dataclass
class _Tally:
    limits: Limits
    files: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        self.files += 1
        self.size += size
        if self.files > self.limits.files:
            raise LimitExceeded(
                f"the workspace has more than {self.limits.files} files", hint="leave out what can be made again"
            )
        if self.size > self.limits.size_bytes:
            raise PayloadTooLarge(
                f"the workspace has more than {self.limits.size_bytes} bytes", hint="leave out what can be made again"
            )


def walk(folder: Path, limits: Limits) -> Generator[Entry]:
    """Every file and symlink below ``folder``, sorted within each folder.

    Left out: ``.git`` in any case (file or folder, at any depth), caches of tools (`NOISE`), sockets, pipes, devices.
    Empty folders leave no trace.

    Raises:
        InvalidInput: no folder, something in it cannot be read, or a symlink has a name that git refuses.
        LimitExceeded, PayloadTooLarge: too many files, too deep, too large.
        Conflict: something changed while it was read.
    """
    try:
        handle = os.open(folder, _FOLDER_FLAGS)
    except OSError as error:
        raise InvalidInput(
            f"{folder} is no folder that can be read: {error.strerror}", hint="check the path"
        ) from error
    try:
        yield from _walk(handle, b"", 1, _Tally(limits))
    finally:
        os.close(handle)


def _walk(folder: int, prefix: bytes, depth: int, tally: _Tally) -> Iterator[Entry]:
    if depth > tally.limits.depth:
        raise LimitExceeded(
            f"folders nest deeper than {tally.limits.depth}: {_short(prefix)}", hint="make the tree flatter"
        )
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.lower() == ".git":
            continue
        path = prefix + os.fsencode(entry.name)
        if len(path) > tally.limits.path_bytes:
            raise LimitExceeded(f"a path is too long: {_short(path)}", hint="shorten its folders' names")
        if entry.is_symlink():
            yield _symlink(folder, entry.name, path, tally)
        elif entry.is_dir(follow_symlinks=False):
            if entry.name not in NOISE:
                yield from _below(folder, entry.name, path, depth, tally)
        elif entry.is_file(follow_symlinks=False):
            yield from _file(folder, entry.name, path, tally)


def _below(parent: int, name: str, path: bytes, depth: int, tally: _Tally) -> Iterator[Entry]:
    handle = _open(name, _FOLDER_FLAGS, parent, path)
    try:
        yield from _walk(handle, path + b"/", depth + 1, tally)
    finally:
        os.close(handle)


def _symlink(folder: int, name: str, path: bytes, tally: _Tally) -> Entry:
    if name.lower() == ".gitmodules":
        raise InvalidInput(f"{_short(path)} is a symlink, which git refuses by this name", hint="make it a plain file")
    try:
        target = os.fsencode(os.readlink(name, dir_fd=folder))
    except OSError as error:
        raise _changed(path) from error
    tally.add(len(target))
    return Entry(path, b"120000", len(target), iter((target,)))


def _file(folder: int, name: str, path: bytes, tally: _Tally) -> Iterator[Entry]:
    handle = _open(name, _FILE_FLAGS, folder, path)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _changed(path)
        tally.add(found.st_size)
        mode = b"100755" if found.st_mode & stat.S_IXUSR else b"100644"
        yield Entry(path, mode, found.st_size, _read(handle, found.st_size, path))
    finally:
        os.close(handle)


def _open(name: str, flags: int, folder: int, path: bytes) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except PermissionError as error:
        raise InvalidInput(f"{_short(path)} cannot be read", hint="give read permission, or remove it") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _changed(path) from error
    except OSError as error:  # ELOOP: it became a symlink
        raise Conflict(f"{_short(path)} cannot be opened: {error.strerror}", hint="take the snapshot again") from error


def _read(handle: int, size: int, path: bytes) -> Iterator[bytes]:
    left = size
    while left:
        chunk = os.read(handle, min(left, _CHUNK))
        if not chunk:
            raise _changed(path)
        left -= len(chunk)
        yield chunk


def _changed(path: bytes) -> Conflict:
    return Conflict(f"{_short(path)} changed while it was read", hint="stop what writes there, then try again")


def _short(path: bytes) -> str:
    text = path.decode("utf-8", "backslashreplace")
    return text if len(text) <= 200 else text[:200] + "…"
