"""Replicas: how soon others lead what a dead one led, and what more of them bring: ``python -m benchmarks.leadership``.

Failover: three orchestrators and three task-queue managers, real servers and processes. In turn one of each is killed
with SIGKILL, and replaced afterwards. Measured is the time from the kill until all partitions have living leaders.

Throughput: missions that do nothing, submitted at once, with one, two and three replicas of each role; the workers stay
the same. On two cores more replicas can bring little; what counts is that they cost little, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import module
from benchmarks.servers import servers
from events.leadership.jetstream import JetStreamKeys
from events.leadership.view import View
from schemas.plan import Plan, TaskSpec
from stigmergy import Client, Settings

ROLES = ("orchestrator", "task-queue")
PARTITIONS = 32
_WITHIN_S = 30.0


@dataclass
class Bench:
    """Servers, and the processes on them by role."""

    settings: Settings
    start: Callable[[str], int]
    pids: dict[str, list[int]] = field(default_factory=lambda: {role: [] for role in ROLES})

    def add(self, role: str) -> None:
        """One more replica, which is ready."""
        self.pids[role].append(self.start(role))


@contextmanager
def bench(folder: Path, replicas: int, workers: int) -> Iterator[Bench]:
    """Everything up, with so many replicas of each role."""
    with ExitStack() as stack:
        up = stack.enter_context(servers(folder))
        count = iter(range(10_000))

        def start(*arguments: str) -> int:
            place = folder / f"p{next(count)}"
            place.mkdir()
            return stack.enter_context(module("benchmarks.hosting", arguments, up.env, place))

        made = Bench(up.settings, lambda role: start("roles", role))
        for role in ROLES:
            for _ in range(replicas):
                made.add(role)
        start("workers", str(workers))
        yield made


async def led(keys: JetStreamKeys, role: str) -> dict[int, str]:
    """Partition to its living leader."""
    view = View(role)
    for entry in await keys.all():
        if entry.key.startswith(f"{role}."):
            view.take(entry, 0.0)
    return view.owners()


async def shared(keys: JetStreamKeys, role: str, members: int) -> dict[int, str]:
    """The leaders, once so many share all partitions."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            owners = await led(keys, role)
            if len(owners) == PARTITIONS and len(set(owners.values())) == members:
                return owners
            await asyncio.sleep(0.02)


async def failovers(made: Bench, kills: int) -> dict[str, list[float]]:
    """Seconds from each kill until everything is led again, by role."""
    took: dict[str, list[float]] = {role: [] for role in ROLES}
    async with Client(made.settings) as client:
        keys = JetStreamKeys(client.bus.nc)
        for number in range(kills):
            for role in ROLES:
                owners = await shared(keys, role, 3)
                pid = made.pids[role].pop(0)
                gone = next(name for name in owners.values() if f"-{pid}-" in name)
                await asyncio.sleep(0.1 * (number % 6))  # at any moment between two signs of life
                os.kill(pid, signal.SIGKILL)
                began = time.monotonic()
                while len(owners := await led(keys, role)) < PARTITIONS or gone in owners.values():
                    await asyncio.sleep(0.01)
                took[role].append(time.monotonic() - began)
                made.add(role)  # in this thread: a process on a leash ends with the thread that started it
    return took


async def throughput(made: Bench, replicas: int, missions: int, tasks: int) -> float:
    """Tasks a second, from the first submission to the end of the last mission."""
    plan = Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="echo") for n in range(tasks)))
    async with Client(made.settings) as client:
        keys = JetStreamKeys(client.bus.nc)
        for role in ROLES:
            await shared(keys, role, replicas)
        began = time.monotonic()
        running = await asyncio.gather(*(client.submit(f"mission {n}", plan=plan) for n in range(missions)))
        outcomes = await asyncio.gather(*(mission.outcome(timeout_s=300) for mission in running))
        took = time.monotonic() - began
    if any(outcome.status != "completed" for outcome in outcomes):
        raise RuntimeError("a mission did not complete: there are no numbers without it")
    return missions * tasks / took


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print two tables. Returns 1 if a failover took 5 s or longer."""
    parser = argparse.ArgumentParser(prog="benchmarks.leadership")
    parser.add_argument("--kills", type=int, default=10, help="of each role")
    parser.add_argument("--missions", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=100, help="of each mission")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(prefix="stig-leaders-") as folder:
        (Path(folder) / "kills").mkdir()
        with bench(Path(folder) / "kills", 3, 1) as made:
            took = asyncio.run(failovers(made, options.kills))
        print("| role | kills | median | shortest | longest |\n| --- | --- | --- | --- | --- |")
        for role, seconds in took.items():
            middle = statistics.median(seconds)
            print(f"| {role} | {len(seconds)} | {middle:.2f} s | {min(seconds):.2f} s | {max(seconds):.2f} s |")
        print("\n| replicas of each role | tasks/s, median | all |\n| --- | --- | --- |")
        for replicas in (1, 2, 3):
            place = Path(folder) / f"replicas-{replicas}"
            place.mkdir()
            with bench(place, replicas, options.workers) as made:
                asyncio.run(throughput(made, replicas, 2, 20))  # everything has been used once
                rates = [
                    asyncio.run(throughput(made, replicas, options.missions, options.tasks))
                    for _ in range(options.rounds)
                ]
            every = ", ".join(f"{rate:.0f}" for rate in rates)
            print(f"| {replicas} | {statistics.median(rates):.0f} | {every} |", flush=True)
    return 1 if max(second for seconds in took.values() for second in seconds) >= 5.0 else 0


if __name__ == "__main__":
    sys.exit(main())
