"""Collects the Python files of a folder that are worth reading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from schemas.errors import InvalidSource
from workers.tools.python_code.roles import is_foreign_folder, is_generated

MAX_BYTES = 1_000_000
MAX_FILES = 5_000


@dataclass(slots=True)
class SourceFiles:
    """The bytes by path, in the order of the paths, and the paths that were left alone, with the reason."""

    contents: dict[str, bytes] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def collect(folder: Path, exclude: Sequence[str] = ()) -> SourceFiles:
    """Read the ``.py`` files below ``folder``.

    Args:
        folder: the repository. Links below it are not followed: they could lead out of it, and what they name inside
            is met at its own place anyway.
        exclude: shell patterns over whole relative paths; ``*`` also matches ``/``.

    Raises:
        InvalidSource: no such folder, or no Python in it.
    """
    if not folder.is_dir():
        raise InvalidSource(f"{folder} is not a folder", hint="name the folder that holds the repository")
    found = SourceFiles()
    for path in sorted(_python_paths(folder)):
        _sort_in(folder, path, exclude, found)
    if not found.contents and not found.skipped:
        raise InvalidSource(
            f"no Python files in {folder.name or folder}",
            hint="this workflow works on Python repositories: check the path, or choose a workflow for the language",
        )
    return found


def _python_paths(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_foreign_folder(Path(place) / name)]
        for name in names:
            if name.endswith(".py"):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _sort_in(folder: Path, path: str, exclude: Sequence[str], found: SourceFiles) -> None:
    reason, data = _read(folder, path, exclude, len(found.contents))
    if data is None:
        found.skipped[_printable(path)] = reason
    else:
        found.contents[path] = data


def _read(folder: Path, path: str, exclude: Sequence[str], so_far: int) -> tuple[str, bytes | None]:
    """The bytes, or the reason why not."""
    full = folder / path
    if any(fnmatchcase(path, pattern) for pattern in exclude):
        return "excluded", None
    if _printable(path) != path or "\\" in path:
        return "its name is no portable text", None
    if full.is_symlink() or not full.is_file():
        return "a link or no regular file", None
    if so_far >= MAX_FILES:
        return f"more than {MAX_FILES} files", None
    if full.stat().st_size > MAX_BYTES:
        return "too large", None
    data = full.read_bytes()
    return ("generated", None) if is_generated(path, data) else ("", data)


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")
