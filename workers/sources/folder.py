"""A folder on this machine: copied, so that the original is never touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import InvalidSource, StigmergyError
from workers.sources.git import git, leads_inside
from workers.sources.source import Meter, Progress, Source, SourceLimits, disk_errors

SKIPPED = {
    ".git", ".hg", ".svn", ".venv", "venv", ".env", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".hypothesis", ".idea", ".stigmergy", ".eggs", "htmlcov",
}  # fmt: skip


def fetch_folder(spec: str, into: Path, limits: SourceLimits, progress: Progress) -> Source:
    """Copy a folder; see `workers.sources.fetch`."""
    folder = Path(spec).expanduser().resolve()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InvalidSource(f"{folder} {what}", hint="give a folder, a git address, or pypi:NAME")
    if into.resolve().is_relative_to(folder):
        progress("the copy goes into the folder itself; it is left out of the copy")
    names, revision, notes = _names(folder, limits)
    progress(f"copying {folder}")
    meter = Meter(str(folder), limits)
    with disk_errors(into):
        for name in names:
            note = _copy(folder, name, into, meter)
            notes += [note] if note else []
    if not any(into.iterdir()):
        raise InvalidSource(f"{folder} holds no files", hint="give the root of a repository")
    return Source(
        kind="path", origin=str(folder), name=folder.name, folder=into, revision=revision, notes=tuple(notes[:20])
    )


def _names(folder: Path, limits: SourceLimits) -> tuple[Iterator[str], str | None, list[str]]:
    """Relative paths to copy: what git tracks or would track, else everything but the usual debris."""
    if not _under_git(folder):
        return _walk(folder), None, []
    try:
        listed = git(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"], folder, limits)
    except StigmergyError as error:
        return _walk(folder), None, [f"its .gitignore was not heeded: {error.message}"]
    names = [name for name in listed.split("\0") if name]
    if not names:  # a folder that its repository ignores as a whole
        return _walk(folder), None, []
    return iter(names), _revision(folder, limits), []


def _under_git(folder: Path) -> bool:
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))


def _revision(folder: Path, limits: SourceLimits) -> str | None:
    try:
        return git(["rev-parse", "--verify", "HEAD"], folder, limits).strip()
    except InvalidSource:
        return None  # nothing has been committed yet


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.endswith(".egg-info"))
        for name in sorted([*files, *links]):
            if not name.endswith((".pyc", ".pyo")):
                yield str(Path(place, name).relative_to(folder))


def _copy(folder: Path, name: str, into: Path, meter: Meter) -> str:
    """Copy one file or link; return a note when it was left out."""
    source, target = folder / name, into / name
    if source.is_relative_to(into.resolve()) or ".git" in Path(name).parts:
        return ""
    if not source.parent.resolve().is_relative_to(folder):
        return f"{name} lies behind a link out of the folder; it was left out"
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        if not leads_inside(source, folder):
            return f"the link {name} leads out of the folder; it was left out"
        target.symlink_to(os.readlink(source))
    elif source.is_file():
        meter.add(source.stat().st_size)
        shutil.copy2(source, target, follow_symlinks=False)
    elif source.is_dir():
        return f"{name} is a repository of its own; it was left out"
    return ""
