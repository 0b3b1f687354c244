"""What an attempt uses: processor time and memory, of the programs that its tools run and of the worker's own process.

Programs in a sandbox are accounted for by the sandbox (:mod:`workers.sandboxes.supervise`). For agents that compute in
the worker itself, the process is measured where it hosts one attempt at a time: its processor time and that of the
children it waited for (``getrusage``), and how far its memory has grown beyond what it held when the attempt began (the
kernel's high-water mark, reset through ``/proc/self/clear_refs``, for tasks that limit it; the looks of the watch every
0.05 s for others and where the mark is refused). In a pool of threads only the processor time of the attempt's own
thread can be told from that of others, and no memory at all.

Roads not taken: a control group for each attempt counts exactly, but an ordinary user may not make one, nor a
container. ``ru_maxrss`` of a finished child begins with what its parent held before ``exec``, so it says too much of
small programs.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from schemas.attempts import AttemptOrder
from schemas.errors import Overdrawn
from schemas.expectations import MaxCpu, MaxMemory
from workers.limits import limits_for
from workers.sandboxes import Capabilities, Completed, Limits, Sandbox
from workers.sandboxes.port import OnOutput

_MIB = 2**20
_STATUS = Path("/proc/self/status")
_STATM = "/proc/self/statm"
_CLEAR = Path("/proc/self/clear_refs")
_LEAST_CPU_S = 0.1


class Account:
    """The account of one attempt. Made in the thread that makes the attempt; the watch asks from another.

    Args:
        order: says what may be used.
        alone: the process hosts no other attempt at the same time.
    """

    def __init__(self, order: AttemptOrder, *, alone: bool) -> None:
        self._order = order
        self._alone = alone
        self._cpu_limit = min((one.seconds for one in order.expects if isinstance(one, MaxCpu)), default=None)
        self._memory_limit = min((one.megabytes for one in order.expects if isinstance(one, MaxMemory)), default=None)
        self._thread = threading.get_ident()
        self._sandboxed_s = 0.0
        self._aside_s = 0.0
        self._peak = 0
        # Exact where it decides something: the kernel's mark costs 0.3 ms, as much as a whole short attempt.
        self._exact = alone and self._memory_limit is not None and _reset_high_water()
        self._rss = _resident() if alone else None
        self._began_s = self._own_s()
        self._children_s = _children_s()

    # what tools say

    def ran(self, done: Completed) -> None:
        """Take note of what a program in a sandbox has used."""
        self._sandboxed_s += done.cpu_s or 0.0
        self._peak = max(self._peak, done.peak_memory_bytes or 0)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What children use in this block is not the attempt's: who comes first on a machine would pay for all."""
        before = _children_s()
        try:
            yield
        finally:
            self._aside_s += _children_s() - before

    def limits(self, limits: Limits) -> Limits:
        """What a sandboxed run may use: of the tool's limits, the action's resources and what is left, the least."""
        narrowed = limits_for(self._order, limits)
        if self._memory_limit is not None:
            narrowed = replace(narrowed, memory_bytes=min(narrowed.memory_bytes, int(self._memory_limit * _MIB)))
        if self._cpu_limit is not None:
            left = max(_LEAST_CPU_S, self._cpu_limit - self.cpu_s)
            narrowed = replace(narrowed, cpu_s=min(narrowed.cpu_s, left))
        return narrowed

    # what came of it

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far, of the worker's own part and all programs that have ended."""
        waited_for = _children_s() - self._children_s - self._aside_s if self._alone else 0.0
        return self._own_s() - self._began_s + max(self._sandboxed_s, waited_for)

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most so far: of one sandboxed run, or by which the process has grown; None if nobody measured."""
        self._look_at_memory()
        return self._peak if self._peak or self._rss is not None else None

    def overdrawn(self) -> Overdrawn | None:
        """Which limit the attempt is beyond, if any; asked again and again while it runs."""
        if self._cpu_limit is not None and (used := self.cpu_s) > self._cpu_limit:
            return Overdrawn(f"used {used:.1f} s of processor time, at most {self._cpu_limit:g} s are allowed")
        self._look_at_memory()
        if self._memory_limit is not None and self._peak > self._memory_limit * _MIB:
            used_mb = self._peak / _MIB
            return Overdrawn(f"used {used_mb:.0f} MiB of memory, at most {self._memory_limit:g} MiB are allowed")
        return None

    def _look_at_memory(self) -> None:
        if self._rss is not None:
            now = _high_water() if self._exact else _resident()
            self._peak = max(self._peak, (now or 0) - self._rss)

    def _own_s(self) -> float:
        if self._alone:
            return time.process_time()
        return _thread_s(self._thread)


class MeteredSandbox:
    """A sandbox whose runs go to the account of an attempt, within what it may still use."""

    def __init__(self, inner: Sandbox, account: Account) -> None:
        self._inner, self._account = inner, account

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        read_only: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        cancelled: Callable[[], bool] | None = None,
        on_output: OnOutput | None = None,
    ) -> Completed:
        """See `Sandbox.run`."""
        done = self._inner.run(
            command,
            folder=folder,
            env=env,
            limits=self._account.limits(limits),
            read_only=read_only,
            writable=writable,
            cancelled=cancelled,
            on_output=on_output,
        )
        self._account.ran(done)
        return done


def _thread_s(thread: int) -> float:
    if hasattr(time, "pthread_getcpuclockid"):
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    return time.thread_time() if threading.get_ident() == thread else 0.0


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reset_high_water() -> bool:
    try:
        _CLEAR.write_bytes(b"5")
    except OSError:
        return False
    return True


def _resident() -> int | None:
    """Bytes that this process holds now; None where the system does not tell."""
    try:
        file = os.open(_STATM, os.O_RDONLY)  # a Path takes five times as long, and this is done for every attempt
    except OSError:
        return None
    try:
        return int(os.read(file, 256).split(None, 2)[1]) * resource.getpagesize()
    finally:
        os.close(file)


def _high_water() -> int | None:
    """The most bytes that this process held since the mark was reset."""
    try:
        _, found, rest = _STATUS.read_bytes().partition(b"VmHWM:")
    except OSError:
        return None
    return int(rest.split(None, 1)[0]) * 1024 if found else None
