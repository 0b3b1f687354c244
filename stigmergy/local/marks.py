"""Which process is meant: a pid alone is not enough, as the system gives the same number to a stranger later.

A mark holds the pid and the moment of birth. A signal goes out only while both still agree, and on Linux through a
pidfd that was opened before the check, so that not even the instant between check and signal can hit a stranger.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

_LINUX = sys.platform == "linux"


class ProcessMark(BaseModel):
    """One process for certain. ``birth`` is opaque text, comparable only on the machine that wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pid: int
    birth: str


def mark(pid: int) -> ProcessMark | None:
    """The mark of the live process ``pid``; None if there is none, or only its zombie."""
    birth = _birth_from_proc(pid) if _LINUX else _birth_from_psutil(pid)
    return ProcessMark(pid=pid, birth=birth) if birth else None


def alive(who: ProcessMark | None) -> bool:
    """Whether exactly this process still runs."""
    return who is not None and mark(who.pid) == who


def send(who: ProcessMark, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False if it is gone."""
    try:
        descriptor = os.pidfd_open(who.pid) if sys.platform == "linux" else None
    except ProcessLookupError:
        return False
    try:
        if not alive(who):
            return False
        if sys.platform == "linux" and descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(who.pid, number)
    except ProcessLookupError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def await_end(who: ProcessMark, timeout_s: float) -> bool:
    """Wait until this process has ended; False if it still runs after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while alive(who):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def end(who: ProcessMark, grace_s: float) -> bool:
    """SIGTERM, then SIGKILL after ``grace_s`` seconds. True if it was there; on return it is gone."""
    if not send(who, signal.SIGTERM):
        return False
    if not await_end(who, grace_s):
        send(who, signal.SIGKILL)
        await_end(who, 5.0)
    return True


def having_argument(argument: str) -> Iterator[ProcessMark]:
    """Every live process of this user with exactly ``argument`` on its command line."""
    for process in psutil.process_iter(["uids", "cmdline"]):
        uids = process.info["uids"]
        if uids and uids.real == os.getuid() and argument in (process.info["cmdline"] or ()):
            found = mark(process.pid)
            if found:
                yield found


def has_argument(who: ProcessMark, argument: str) -> bool:
    """Whether ``argument`` is one of the words on the command line of this process."""
    try:
        return alive(who) and argument in psutil.Process(who.pid).cmdline()
    except psutil.Error:
        return False


def having_variable(name: str, value: str) -> Iterator[ProcessMark]:
    """Every live process of this user, except this one, whose environment at its start held ``name=value``.

    An environment is inherited by children of children, whatever group or session they moved to.
    """
    for process in psutil.process_iter():
        try:
            carries = process.pid != os.getpid() and process.environ().get(name) == value
        except psutil.Error:
            continue  # ended meanwhile, or of another user
        found = mark(process.pid) if carries else None
        if found:
            yield found


def reap(pid: int) -> None:
    """Take the exit status of an ended child of this process, so that no zombie stays; nothing if it is no child.

    Never for a child that asyncio or ``subprocess`` waits for: they would miss the status.
    """
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # not a child of this process


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _birth_from_proc(pid: int) -> str:
    # Clock ticks since boot do not move when somebody sets the clock; psutil's create_time() does.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    # A zombie with more than one thread is only a zombie leader: the others still hold its port and its files.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return "" if ended else f"{_boot()}:{fields[19]}"


def _birth_from_psutil(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""
