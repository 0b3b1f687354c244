"""Many light agents: how quickly work finds them, how much they get done, and what each of them holds of memory.

``python -m benchmarks.fleet --agents 10,25,50,100,200 --kind threads``; ``--kind prefork`` for processes. For each size
a fresh stack: a chain of tasks (the path alone: everybody is idle), then a fan-out (everybody is busy), then a mission
of five beside one of ``--fan-out`` tasks (fairness). The part that had the most processor time for the wall time of the
fan-out is named: with two cores 200 % is all there is.
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


@dataclass(frozen=True)
class Size:
    """What was measured with so many agents; times in milliseconds, memory in MiB.

    Attributes:
        idle: from ready until an idle worker has it.
        busy_p99: the same under the fan-out, where it is mostly waiting for the others.
        bottleneck: the part with the most processor time in the fan-out, in percent of one core.
        small_s: how long the mission of five took beside the large one.
        passed: tasks of the large mission that ended meanwhile.
    """

    agents: int
    idle: Latency
    busy_p99: float
    tasks_per_s: float
    cpu_ms: float
    memory_each: float
    bottleneck: str
    small_s: float
    passed: int


def measure(agents: int, kind: str, width: int, length: int, folder: Path) -> Size:
    """One size on a stack of its own."""
    with ours(folder / f"{kind}-{agents}", Hosting(concurrency=agents, kind=kind, split=True)) as side:
        side.run(fan_out(min(width, 200)), _TIMEOUT_S)  # warm
        idle = side.run(chain(length), _TIMEOUT_S)
        busy = side.run(fan_out(width), _TIMEOUT_S)
        memory = _memory(side.roots["workers"]) / agents
        small_s, passed = asyncio.run(_beside(side, width))
    if idle.dispatch is None or busy.dispatch is None:
        raise ValueError("a round without executions")
    return Size(
        agents,
        idle.dispatch,
        busy.dispatch.p99,
        round(busy.tasks_per_s, 1),
        round(busy.cpu_ms, 3),
        round(memory, 1),
        _bottleneck(busy),
        small_s,
        passed,
    )


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
    """Unique memory of a process and all below it, in MiB: pages that forks share count once, for nobody."""
    root = psutil.Process(pid)
    return sum(one.memory_full_info().uss for one in (root, *root.children(recursive=True))) / 2**20


def _bottleneck(one: Round) -> str:
    part = max(one.cpu_s, key=lambda name: one.cpu_s[name])
    return f"{part} {one.cpu_s[part] / one.seconds:.0%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes and print a table, or JSON. Returns the exit code."""
    options = _parser().parse_args(argv)
    sizes = []
    with tempfile.TemporaryDirectory(prefix="stig-fleet-") as folder:
        for agents in options.agents:
            sizes.append(measure(agents, options.kind, options.fan_out, options.chain, Path(folder)))
            print(f"{agents} agents: done", file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(size) for size in sizes], indent=2))
        return 0
    columns = ("idle p50/p99 ms", "busy p99 ms", "tasks/s", "CPU ms/task", "MiB each", "most CPU", "five beside many")
    print(f"| {' | '.join((options.kind, *columns))} |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for one in sizes:
        beside = f"{one.small_s:.2f} s, {one.passed} passed"
        print(
            f"| {one.agents} | {one.idle.p50:.1f} / {one.idle.p99:.1f} | {one.busy_p99:.0f} | {one.tasks_per_s:.0f} "
            f"| {one.cpu_ms:.2f} | {one.memory_each:.1f} | {one.bottleneck} | {beside} |"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.fleet", description=__doc__)
    numbers = {"type": lambda text: [int(part) for part in text.split(",")], "metavar": "N,N…"}
    parser.add_argument("--agents", default=[10, 25, 50, 100, 200], **numbers)
    parser.add_argument("--kind", choices=("threads", "prefork"), default="threads")
    parser.add_argument("--fan-out", type=int, default=2000)
    parser.add_argument("--chain", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
