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
_READINGS = 5


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
        ended: processes of the side that ended while it was measured; their time is in ``cpu_s``.
    """

    tasks: int
    executions: int
    submit_s: float
    seconds: float
    cpu_s: Mapping[str, float]
    dispatch: Latency | None
    begin: Latency | None = None
    step: Latency | None = None
    ended: tuple[str, ...] = ()

    @property
    def tasks_per_s(self) -> float:
        return self.tasks / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time a task, everything together."""
        return sum(self.cpu_s.values()) / self.tasks * 1e3


@dataclass(frozen=True)
class Account:
    """What a process has used: its own processor time and that of the children it has waited for."""

    seconds: float
    name: str
    parent: int


Tree = Mapping[tuple[int, float], Account]
"""The processes of a part, by id and birth."""
Reading = Mapping[str, Tree]


class CpuMeter:
    """Processor time of process trees, and of this process as the submitter.

    The kernel counts in ticks of 10 ms a process, so a round should take tenths of a second at least. It adds what an
    ended process had used to its parent's account, once that has waited for it; so the sum over a tree stays right as
    long as those above live.

    Args:
        roots: the root process of each part.
        children_may_end: some systems let workers come and go; a root that ends has failed in any case.
    """

    def __init__(self, roots: Mapping[str, int], *, children_may_end: bool = False) -> None:
        self._roots = dict(roots)
        self._children_may_end = children_may_end
        self._before: Reading = {}
        self.ended: tuple[str, ...] = ()
        """Processes that ended between :meth:`start` and :meth:`spent`."""

    def start(self) -> None:
        """Measure from now on."""
        self._before = self._read()
        self.ended = ()

    def spent(self) -> dict[str, float]:
        """Seconds since :meth:`start` by part. Raises :class:`Unavailable` if a process ended that may not."""
        now = self._read()
        return {part: self._difference(part, self._before[part], now[part]) for part in now}

    def _read(self) -> Reading:
        reading = {part: self._tree(part, root) for part, root in self._roots.items()}
        reading[SUBMITTER] = {(os.getpid(), 0.0): Account(time.process_time(), "submitter", 0)}
        return reading

    def _tree(self, part: str, root: int) -> Tree:
        for attempt in range(_READINGS):
            try:
                return _tree(root)
            except psutil.NoSuchProcess as error:
                if not self._children_may_end or error.pid == root or attempt == _READINGS - 1:
                    raise _lost(part, error.pid) from error
        raise AssertionError

    def _difference(self, part: str, before: Tree, now: Tree) -> float:
        gone = [process for process in before if process not in now]
        for process in gone:
            # What it used is on the account of its parent, unless that has ended as well and never waited for it.
            heir = any(pid == before[process].parent for pid, _ in now)
            if not self._children_may_end or process[0] == self._roots.get(part) or not heir:
                raise _lost(part, process[0])
        spent = sum(one.seconds for one in now.values()) - sum(one.seconds for one in before.values())
        if gone and spent < 0:
            raise _lost(part, gone[0][0])
        self.ended += tuple(before[process].name for process in gone)
        return spent


def _tree(root: int) -> Tree:
    first = psutil.Process(root)
    found = {}
    for process in (first, *first.children(recursive=True)):
        with process.oneshot():
            times = process.cpu_times()
            seconds = times.user + times.system + times.children_user + times.children_system
            found[process.pid, process.create_time()] = Account(seconds, process.name(), process.ppid())
    return found


def _lost(part: str, pid: int) -> Unavailable:
    return Unavailable(
        f"process {pid} of {part} ended while it was measured", hint="its log is shown with the next failure to start"
    )
