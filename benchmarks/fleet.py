"""Many light agents: how quickly work finds them, how much they get done, and what each of them holds of memory.

``python -m benchmarks.fleet --agents 10,25,50,100,200 --kind threads``; ``--kind prefork`` for processes. For each size
a fresh stack: a chain of tasks (the path alone: everybody is idle), then a task for every agent at once, then a fan-out
(everybody is busy), then a mission of five beside one of ``--fan-out`` tasks (fairness), then tasks that sleep for 50
ms, ten for each agent: what more agents are for. The share that each part had of the processor during the fan-out is
given, in percent of a core; the first is the bottleneck: with two cores 200 % is all there is. Rows are printed as they
are measured, so that one that fails costs none of those before it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.measuring import Latency, Round
from benchmarks.ours import Hosting, Ours, ours, plan_of
from benchmarks.shapes import chain, fan_out
from schemas.events.task import TaskSucceeded
from stigmergy import Client

_TIMEOUT_S = 300.0
_SMALL = 5
_SLEEP_S = 0.05
_EACH_SLEEPS = 10
_COLUMNS = (
    *("idle p50/p99 ms", "one each at once", "busy p99 ms", "tasks/s", "CPU ms/task", "MiB each"),
    *("five beside many", "of 50 ms: tasks/s", "% of a core"),
)


@dataclass(frozen=True)
class Size:
    """What was measured with so many agents; times in milliseconds, memory in MiB.

    Attributes:
        idle: from ready until an idle worker has it.
        full: the same where as many tasks as there are agents become ready in one moment.
        busy_p99: the same under the fan-out, where it is mostly waiting for the others.
        sleeping_per_s: tasks a second where each sleeps for 50 ms, from their submission to the outcome.
        memory_each: MiB of its process in proportion: pages that forks share count in equal parts for each.
        shares: processor time of each part in the fan-out, in percent of one core, the most first.
        small_s: how long the mission of five took beside the large one.
        passed: tasks of the large mission that ended meanwhile.
    """

    agents: int
    idle: Latency
    full: Latency
    busy_p99: float
    tasks_per_s: float
    cpu_ms: float
    sleeping_per_s: float
    memory_each: float
    shares: dict[str, int]
    small_s: float
    passed: int


def measure(agents: int, kind: str, width: int, length: int, folder: Path) -> Size:
    """One size on a stack of its own."""
    with ours(folder / f"{kind}-{agents}", Hosting(concurrency=agents, kind=kind, split=True)) as side:
        side.run(fan_out(min(width, 200)), _TIMEOUT_S)  # warm
        idle = side.run(chain(length), _TIMEOUT_S)
        full = side.run(fan_out(agents), _TIMEOUT_S)
        busy = side.run(fan_out(width), _TIMEOUT_S)
        memory = _memory(side.roots["workers"]) / agents
        small_s, passed = asyncio.run(_beside(side, width))
        sleeping_per_s = asyncio.run(_sleeping(side, agents))
    if idle.dispatch is None or full.dispatch is None or busy.dispatch is None:
        raise ValueError("a round without executions")
    return Size(
        agents,
        idle.dispatch,
        full.dispatch,
        busy.dispatch.p99,
        round(busy.tasks_per_s, 1),
        round(busy.cpu_ms, 3),
        round(sleeping_per_s, 1),
        round(memory, 1),
        _shares(busy),
        small_s,
        passed,
    )


async def _sleeping(side: Ours, agents: int) -> float:
    """Tasks a second, once it is known how long they take."""
    many = _EACH_SLEEPS * agents
    async with Client(side.settings) as client:
        known = await client.submit("known", plan=plan_of(fan_out(many), sleep_s=_SLEEP_S))
        await known.outcome(timeout_s=_TIMEOUT_S)
        begin = time.perf_counter()
        mission = await client.submit("sleeping", plan=plan_of(fan_out(many), sleep_s=_SLEEP_S))
        await mission.outcome(timeout_s=_TIMEOUT_S)
        return many / (time.perf_counter() - begin)


async def _beside(side: Ours, width: int) -> tuple[float, int]:
    """A mission of five, submitted while one of ``width`` runs."""
    async with Client(side.settings) as client:
        large = await client.submit("large", plan=plan_of(fan_out(width)))
        while (await large.view()).status != "running":
            await asyncio.sleep(0.01)
        begin = time.perf_counter()
        small = await client.submit("small", plan=plan_of(fan_out(_SMALL)))
        await small.outcome(timeout_s=_TIMEOUT_S)
        took = time.perf_counter() - begin
        await large.outcome(timeout_s=_TIMEOUT_S)
        places = [event.sequence async for event in small.events(follow=False)]
        ended = [e.sequence async for e in large.events(follow=False) if e.type == TaskSucceeded.TYPE]
    return round(took, 3), sum(places[0] < place < places[-1] for place in ended)


def _memory(pid: int) -> float:
    """Memory of a process and all below it, in MiB; what they share with one another counts once.

    Linux says so in ``smaps_rollup``; elsewhere only what is a process's own can be counted.
    """
    root = psutil.Process(pid)
    maps = [one.memory_full_info() for one in (root, *root.children(recursive=True))]
    return float(sum(getattr(one, "pss", one.uss) for one in maps)) / 2**20


def _shares(one: Round) -> dict[str, int]:
    shares = {name: round(100 * spent / one.seconds) for name, spent in one.cpu_s.items()}
    return dict(sorted(shares.items(), key=lambda share: -share[1]))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes and print a table, or JSON. Returns the exit code."""
    options = _parser().parse_args(argv)
    sizes = []
    if not options.json:
        print(f"| {options.kind} | {' | '.join(_COLUMNS)} |\n|{' --- |' * (len(_COLUMNS) + 1)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stig-fleet-") as folder:
        for agents in options.agents:
            sizes.append(measure(agents, options.kind, options.fan_out, options.chain, Path(folder)))
            if options.json:
                print(f"{agents} agents: done", file=sys.stderr)
            else:
                print(_row(sizes[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(size) for size in sizes], indent=2))
    return 0


def _row(one: Size) -> str:
    beside = f"{one.small_s:.2f} s, {one.passed} passed"
    shares = ", ".join(f"{part} {share}" for part, share in one.shares.items())
    return (
        f"| {one.agents} | {one.idle.p50:.1f} / {one.idle.p99:.1f} | {one.full.p50:.1f} / {one.full.p99:.1f} "
        f"| {one.busy_p99:.0f} | {one.tasks_per_s:.0f} | {one.cpu_ms:.2f} | {one.memory_each:.1f} "
        f"| {beside} | {one.sleeping_per_s:.0f} | {shares} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.fleet", description=__doc__)
    parser.add_argument(
        "--agents", default=[10, 25, 50, 100, 200], metavar="N,N…", type=lambda text: list(map(int, text.split(",")))
    )
    parser.add_argument("--kind", choices=("threads", "prefork"), default="threads")
    parser.add_argument("--fan-out", type=int, default=2000)
    parser.add_argument("--chain", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
