"""Write files into the cache as one git tree, with one process.

`git fast-import` takes all bytes through one pipe and writes one synced pack. `git add` with a temporary index was the
other road: it writes a loose object per file, and its view of attributes and nested repositories is not ours.
"""

from __future__ import annotations

import subprocess
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from workers.workspaces.git import DEADLINE_S, Answer, Git, failed, refuse_full_disk
from workers.workspaces.walk import Entry

_ARGUMENTS = ("fast-import", "--quiet", "--depth=0", "--done")
_NOBODY = b"stigmergy <> 0 +0000"  # fixed, so that the same tree makes the same commit


@dataclass(frozen=True)
class Taken:
    """A tree that is now in the cache."""

    tree: str
    files: int
    size_bytes: int


def take_in(git: Git, entries: Iterable[Entry]) -> Taken:
    """Write all entries and return their tree. What the iteration raises passes through, and nothing is kept.

    Raises:
        DiskFull, GitFailed: git could not write.
    """
    process = subprocess.Popen(
        [git.program, *_ARGUMENTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=git.repository,
        env=git.environment(),
    )
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        files, size = _feed(process, entries)
        out, err = process.communicate()
    finally:
        watchdog.cancel()
        if process.poll() is None:  # the iteration raised: end git before it makes a tree of a part
            process.kill()
            process.communicate()
    return Taken(_tree(Answer(process.returncode, out, err.decode("utf-8", "backslashreplace"))), files, size)


def _feed(process: subprocess.Popen[bytes], entries: Iterable[Entry]) -> tuple[int, int]:
    if process.stdin is None:
        return 0, 0
    files = size = 0
    reference = b"refs/intake/" + uuid.uuid4().hex.encode()  # its own, so that parallel intakes cannot meet
    try:
        process.stdin.write(b"commit %s\ncommitter %s\ndata 0\n" % (reference, _NOBODY))
        for entry in entries:
            _write(process.stdin, entry)
            files += 1
            size += entry.size
        process.stdin.write(b'ls ""\n\nreset %s\nfrom %s\n\ndone\n' % (reference, b"0" * 40))
    except BrokenPipeError:
        return files, size  # git ended early: its exit code and words say why
    return files, size


def _write(stream: IO[bytes], entry: Entry) -> None:
    stream.write(b"M %s inline %s\ndata %d\n" % (entry.mode, quoted(entry.path), entry.size))
    for chunk in entry.data:
        stream.write(chunk)
    stream.write(b"\n")


def quoted(path: bytes) -> bytes:
    """A path as fast-import reads it: in quotes, with backslashes before what would end it."""
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'


def _tree(answer: Answer) -> str:
    words = answer.out.split()
    if answer.code != 0 or len(words) < 3 or words[1] != b"tree":
        refuse_full_disk(answer.err)
        raise failed(_ARGUMENTS, answer)
    return words[2].decode()
