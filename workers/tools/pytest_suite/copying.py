"""A throw-away copy of a workspace, so that a suite may write what it likes.

Hard links were not taken: a test that appends to a linked file changes the original.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DiskFull, InvalidInput

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
    ".ruff_cache", ".stigmergy",
)  # fmt: skip


@contextmanager
def throw_away_copy(folder: Path) -> Iterator[Path]:
    """A copy of ``folder`` in a fresh place, gone at the end. Symbolic links stay links.

    Raises:
        InvalidInput: ``folder`` is no folder.
        DiskFull: there is no room for the copy.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder", hint="give the root of a repository")
    place = Path(tempfile.mkdtemp(prefix="stigmergy-suite-")).resolve()
    try:
        copy = place / (folder.resolve().name or "workspace")
        try:
            shutil.copytree(folder, copy, symlinks=True, ignore=_ignore, ignore_dangling_symlinks=True)
        except OSError as error:  # copytree gathers the errors of single files as text
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
                raise DiskFull("no room for a copy to test in", hint="free space where TMPDIR points") from error
            raise
        yield copy
    finally:
        _remove(place)


def _ignore(folder: str, names: list[str]) -> set[str]:
    special = {
        n for n in names if (p := Path(folder, n)).exists() and not (p.is_file() or p.is_dir() or p.is_symlink())
    }
    return set(LEFT_OUT(folder, names)) | special  # sockets and pipes cannot be copied


def _remove(place: Path) -> None:
    """Remove also what a test has made unreadable."""

    def unlock(function: object, path: str, error: BaseException) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        if not Path(path).is_symlink() and Path(path).is_dir():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    shutil.rmtree(place, onexc=unlock)
