"""What a peer's driver says and hears: a round for each line of standard input, its time on standard output.

Runs in the peer's own virtual environment, so it uses the standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

RECORD = "BENCH_RECORD"
Needs = Mapping[str, Sequence[str]]


class Record:
    """One line for each execution: run, task, when it was published, started and ended (nanoseconds, one clock)."""

    def __init__(self) -> None:
        self._file = os.open(os.environ[RECORD], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, run: str, task: str, started_ns: int) -> None:
        """Take note of an execution that ends now."""
        os.write(self._file, f"{run} {task} {started_ns} {started_ns} {time.monotonic_ns()}\n".encode())


def answer(play: Callable[[str, Needs], None]) -> None:
    """Play rounds until standard input ends. ``play`` returns when all tasks of the graph have ended."""
    _say({"ready": True})
    for line in sys.stdin:
        wanted = json.loads(line)
        begin = time.perf_counter()
        play(wanted["run"], wanted["needs"])
        _say({"seconds": time.perf_counter() - begin})


def _say(words: dict[str, object]) -> None:
    sys.__stdout__.write(json.dumps(words) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def dependents_of(needs: Needs) -> dict[str, list[str]]:
    """For every task, those that need it."""
    found: dict[str, list[str]] = {task: [] for task in needs}
    for task, before in needs.items():
        for need in before:
            found[need].append(task)
    return found


@contextmanager
def helpers(*commands: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes of the peer, ended with the block; what they print goes to standard error."""
    started = [subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=sys.stderr) for command in commands]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
