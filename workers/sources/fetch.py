"""One way in for every kind of repository."""

from __future__ import annotations

import shutil
from pathlib import Path

from schemas.errors import InvalidSource
from workers.sources.folder import fetch_folder
from workers.sources.git import fetch_git, looks_like_git
from workers.sources.pypi import fetch_pypi
from workers.sources.source import Progress, Source, SourceLimits, disk_errors


def fetch(spec: str, into: Path, progress: Progress | None = None, *, limits: SourceLimits | None = None) -> Source:
    """Bring a repository into the folder ``into``, which is made and must be empty. Nothing of it is run.

    Args:
        spec: ``PATH``, a git address (``https://…``, ``git@…``, ``file://…``, ``path/to/repo.git``) with an optional
            ``#ref``, or ``pypi:NAME`` with an optional ``==VERSION``.
        into: where its root shall be. After an error it is empty again.
        progress: told what is being done, one line at a time.
        limits: how large it may be.

    Raises:
        InvalidSource: it is not there, is not what the spec says, or is too large.
        Unavailable: the network, the host or the index does not answer.
        ToolMissing: git is needed and not installed.
        DiskFull: there is no room for it.
        TimedOut: git took too long.
    """
    said = spec.strip()
    if not said:
        raise InvalidSource("no repository was named", hint="give a folder, a git address, or pypi:NAME")
    with disk_errors(into):
        into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise InvalidSource(f"{into} is not empty", hint="give a new folder for the copy")
    tell, most = progress or _silent, limits or SourceLimits()
    try:
        if said.startswith("pypi:"):
            return fetch_pypi(said.removeprefix("pypi:"), into, most, tell)
        if _is_work_tree(said) or not looks_like_git(said):
            return fetch_folder(said, into, most, tell)
        return fetch_git(said, into, most, tell)
    except BaseException:
        for path in into.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        raise


def _is_work_tree(spec: str) -> bool:
    """A folder of files, even one whose name ends in .git: uncommitted work in it counts."""
    path = Path(spec).expanduser()
    return path.is_dir() and not ((path / "HEAD").is_file() and (path / "objects").is_dir())


def _silent(_line: str) -> None:
    return None
