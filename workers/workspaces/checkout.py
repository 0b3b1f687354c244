"""Lay a tree out as files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from schemas.errors import InvalidInput
from workers.workspaces.cache import Cache
from workers.workspaces.disk import writing
from workers.workspaces.git import Git


def lay_out(cache: Cache, git: Git, tree: str, folder: Path) -> None:
    """Write the whole tree into ``folder``, which must be empty or absent; on an error it is empty again.

    git makes every folder itself and refuses names such as ``..`` and ``.git``, so nothing lands outside.

    Raises:
        InvalidInput: ``folder`` is a symlink, no folder, or not empty.
        DiskFull, GitFailed: it could not be written.
    """
    _prepare(folder)
    with cache.scratch() as scratch:
        env = {"GIT_WORK_TREE": str(folder.absolute()), "GIT_INDEX_FILE": str(scratch / "index")}
        try:
            git.run("read-tree", "--reset", "-u", tree, env=env, cwd=folder)
        except BaseException:
            _empty(folder)
            raise


def _prepare(folder: Path) -> None:
    hint = "give an empty folder, or one that does not exist"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InvalidInput(f"{folder} is not a folder", hint=hint)
    with writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as found:
        if next(found, None) is not None:
            raise InvalidInput(f"{folder} is not empty", hint=hint)


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
