"""The git program, driven without a trace of the user's own configuration."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from schemas.errors import StigmergyError, TimedOut, ToolMissing
from workers.workspaces.disk import FULL_WORDS, disk_full

MINIMUM = (2, 38)  # the first with `merge-tree --write-tree`
DEADLINE_S = 300.0
_HINT = "install git 2.38 or newer and put it on the PATH"
_VERSION = re.compile(r"git version (\d+)\.(\d+)")


class GitFailed(StigmergyError):
    """git ended with an error that nothing above it expected."""

    code = "git_failed"


@dataclass(frozen=True)
class Answer:
    """How one git process ended."""

    code: int
    out: bytes
    err: str


@lru_cache(maxsize=8)
def require(program: str) -> None:
    """Return when ``program`` is a git that is new enough, else raise ToolMissing. A good answer is remembered."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ToolMissing(f"{program} cannot be started: {error}", hint=_HINT) from error
    except subprocess.TimeoutExpired as error:
        raise ToolMissing(f"{program} does not answer", hint=_HINT) from error
    said = done.stdout.decode(errors="replace").strip()
    match = _VERSION.match(said)
    if match is None or (int(match[1]), int(match[2])) < MINIMUM:
        raise ToolMissing(f"{program} is too old for workspaces: {said[:60]!r}", hint=_HINT)


@dataclass(frozen=True)
class Git:
    """One bare repository and the program that works on it."""

    repository: Path
    program: str = "git"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a git process sees: no user, no system configuration, no prompt, plain English."""
        mine = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if key in os.environ}
        mine |= {
            "GIT_DIR": str(self.repository),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_DEFAULT_HASH": "sha1",  # later versions of git may have other defaults
            "GIT_DEFAULT_REF_FORMAT": "files",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": str(self.repository),
            "LC_ALL": "C",
        }
        return mine | dict(more or {})

    def ask(
        self, *arguments: str, feed: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Answer:
        """Run to the end, whatever the exit code.

        Raises:
            DiskFull: git found no space.
            TimedOut: it did not end within 300 s.
            ToolMissing: it cannot be started.
        """
        try:
            done = subprocess.run(
                [self.program, *arguments],
                input=feed,
                capture_output=True,
                cwd=cwd or self.repository,
                env=self.environment(env),
                timeout=DEADLINE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"git {arguments[0]} did not end within {DEADLINE_S:.0f} s", hint="try again") from error
        except FileNotFoundError as error:
            raise ToolMissing(f"{self.program} cannot be started: {error}", hint=_HINT) from error
        answer = Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace"))
        if answer.code != 0:
            refuse_full_disk(answer.err)
        return answer

    def run(
        self, *arguments: str, feed: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> bytes:
        """Like `ask`, for a process that has to succeed; GitFailed when it does not. Returns its output."""
        answer = self.ask(*arguments, feed=feed, env=env, cwd=cwd)
        if answer.code != 0:
            raise failed(arguments, answer)
        return answer.out


def refuse_full_disk(said: str) -> None:
    """Raise DiskFull when git's complaint says so."""
    if any(words in said for words in FULL_WORDS):
        raise disk_full("a workspace")


def failed(arguments: Sequence[str], answer: Answer) -> GitFailed:
    """The error for a git process that ended badly."""
    return GitFailed(
        f"git {arguments[0]} ended with {answer.code}: {answer.err.strip()[-500:]}",
        hint="the workspace cache may be damaged: delete its folder, it is rebuilt from the shared blobs",
    )


def shown(path: bytes) -> str:
    """A path for people and JSON: bytes that are no UTF-8 become ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")
