"""What is measured in a round, and with what: wall time, processor time by process tree, latencies."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from schemas.errors import Unavailable

SETTLE_S = 0.3
"""Processor time is read so long after the end was seen: acknowledgements and results are still being written then."""

SUBMITTER = "submitter"
Reading = Mapping[str, Mapping[tuple[int, float], float]]


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds, by nearest rank."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency | None:
        """Of durations in seconds; None if there are none."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(*(round(ordered[math.ceil(len(ordered) * q) - 1] * 1e3, 3) for q in (0.50, 0.95, 0.99)))

    @classmethod
    def median(cls, many: Sequence[Latency]) -> Latency | None:
        """The median of each percentile over rounds; None if there are none."""
        if not many:
            return None
        return cls(median(x.p50 for x in many), median(x.p95 for x in many), median(x.p99 for x in many))


@dataclass(frozen=True)
class Round:
    """One shape, run once by one side, and found to be right.

    Attributes:
        executions: how many executions were seen; equal to ``tasks``, or there is no round.
        submit_s: until the submission was taken.
        seconds: from the submission until the submitter saw that all was done.
        cpu_s: user and system time by part of the side, the submitter's included.
        dispatch: from ready (published) until a worker had it.
        begin: from ready (published) until the agent's code ran; only for chains, see the sides.
        step: from one start to the next; only for chains.
    """

    tasks: int
    executions: int
    submit_s: float
    seconds: float
    cpu_s: Mapping[str, float]
    dispatch: Latency | None
    begin: Latency | None = None
    step: Latency | None = None

    @property
    def tasks_per_s(self) -> float:
        return self.tasks / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time a task, everything together."""
        return sum(self.cpu_s.values()) / self.tasks * 1e3


class CpuMeter:
    """Processor time of process trees, and of this process as the submitter.

    The kernel counts in ticks of 10 ms a process, so a round should take tenths of a second at least.

    Args:
        roots: the root process of each part.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._before: Reading = {}

    def start(self) -> None:
        """Measure from now on."""
        self._before = self._read()

    def spent(self) -> dict[str, float]:
        """Seconds since :meth:`start` by part. Raises :class:`Unavailable` if a process has ended since."""
        now = self._read()
        return {part: _difference(part, self._before[part], now[part]) for part in now}

    def _read(self) -> Reading:
        reading = {part: _tree(part, root) for part, root in self._roots.items()}
        reading[SUBMITTER] = {(os.getpid(), 0.0): time.process_time()}
        return reading


def _tree(part: str, root: int) -> dict[tuple[int, float], float]:
    try:
        first = psutil.Process(root)
        found = {}
        for process in (first, *first.children(recursive=True)):
            with process.oneshot():
                times = process.cpu_times()
                found[process.pid, process.create_time()] = times.user + times.system
    except psutil.NoSuchProcess as error:
        raise _lost(part, error.pid) from error
    return found


def _difference(part: str, before: Mapping[tuple[int, float], float], now: Mapping[tuple[int, float], float]) -> float:
    for pid, birth in before:
        if (pid, birth) not in now:
            raise _lost(part, pid)
    return sum(spent - before.get(process, 0.0) for process, spent in now.items())


def _lost(part: str, pid: int) -> Unavailable:
    return Unavailable(
        f"process {pid} of {part} ended while it was measured", hint="its log is shown with the next failure to start"
    )
