"""Apply a patch to a folder of the user's own: all of it or nothing."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import Conflict, InvalidInput
from workers.workspaces.git import Git

_APPLY = ("apply", "--whitespace=nowarn")
_BROKEN = re.compile(r"corrupt patch|No valid patches|unrecognized input|patch fragment without header|invalid path '")
_MISFIT = re.compile(  # a path may hold a line break, but no line of it reads like the next complaint
    r"^error: (?:patch failed: (?P<at>.+):\d+"
    r"|(?P<path>(?:(?!\nerror: )[\s\S])+?): (?:patch does not apply|already exists in|No such file or directory"
    r"|wrong type)"
    r"|affected file '(?P<beyond>.+)' is beyond a symbolic link"
    r"|the patch applies to '(?P<other>.+?)' \()",
    re.MULTILINE,
)


def apply(git: Git, patch: str, folder: Path) -> None:
    """Apply ``patch`` to ``folder``; it is checked as a whole first, and taken back where writing fails.

    Raises:
        Conflict: files do not fit; the message names them, and nothing was changed.
        InvalidInput: no folder, or no patch, or it reaches outside the folder.
        DiskFull: no space; nothing was changed.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder", hint="check the path")
    if not patch.strip():
        return
    data = _bytes(patch)
    env = {"GIT_WORK_TREE": str(folder.resolve())}
    answer = git.ask(*_APPLY, "--check", feed=data, env=env, cwd=folder)
    if answer.code != 0:
        raise _refusal(answer.err)
    names = git.run(*_APPLY, "--numstat", "-z", feed=data, env=env, cwd=folder)
    before = [_Before.of(folder / os.fsdecode(path)) for path in _paths(names)]
    try:
        _write(git, data, env, folder)
    except BaseException:
        for file in before:
            file.restore()
        raise


def _write(git: Git, data: bytes, env: dict[str, str], folder: Path) -> None:
    answer = git.ask(*_APPLY, feed=data, env=env, cwd=folder)
    if answer.code != 0:
        raise InvalidInput(
            f"{folder} cannot be written: {answer.err.strip()[-300:]}", hint="give the right to write in it"
        )


def _bytes(patch: str) -> bytes:
    try:
        return patch.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the patch is no valid text: {error}", hint="give a whole git patch") from error


def _refusal(said: str) -> Conflict | InvalidInput:
    misfits = {next(group for group in match.groups() if group) for match in _MISFIT.finditer(said)}
    if misfits and not _BROKEN.search(said):
        shown_misfits = ", ".join(sorted(misfits))
        return Conflict(
            f"the patch does not fit; nothing was changed. These files differ from what it expects: {shown_misfits}",
            hint="bring these files to the state the mission began with, or submit the mission again",
        )
    return InvalidInput(f"this is no patch that can be applied: {said.strip()[-500:]}", hint="give a whole git patch")


def _paths(numstat: bytes) -> list[bytes]:
    """The paths of ``git apply --numstat -z``: two counts and a path, with tabs between them."""
    return [record.split(b"\t", 2)[2] for record in numstat.split(b"\0") if record]


@dataclass(frozen=True)
class _Before:
    """A file as it was: kept in memory, which our limits bound."""

    path: Path
    mode: int | None
    content: bytes

    @classmethod
    def of(cls, path: Path) -> _Before:
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return cls(path, None, b"")
        content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes()
        return cls(path, mode, content)

    def restore(self) -> None:
        if self == _Before.of(self.path):
            return
        self.path.unlink(missing_ok=True)
        if self.mode is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(self.mode):
            self.path.symlink_to(os.fsdecode(self.content))
        else:
            self.path.write_bytes(self.content)
            self.path.chmod(stat.S_IMODE(self.mode))
