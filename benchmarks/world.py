"""The world model: point queries beside raw GET, bulk reads, the cache, serialisation, folding into Redis, rebuilding.

``python -m benchmarks.world --markdown``. Reads and their raw counterparts take turns in one run, on one throw-away
Valkey; the rebuild reads from a throw-away NATS.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from redis.asyncio import Redis
from rich.console import Console

from benchmarks.measuring import Latency
from benchmarks.tables import Table, drawn, marked
from benchmarks.world_events import make_events
from events.codec import frames
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.memory import MemoryLog
from events.port import Ack, Batch, Window, Write
from projections.world import World, fold
from projections.world.cache import CachedWorld
from projections.world.connecting import connect as connect_redis
from projections.world.keys import Keys
from projections.world.queries import WorldView
from projections.world.reader import WorldReader
from projections.world.role import WorldRole
from projections.world.state import FORMAT
from projections.world.store import WorldStore
from projections.world.writing import WorldWriter
from schemas.envelope import Event
from stigmergy.local.ephemeral import nats_server, valkey_server

_KEEP_S = 10**9.0
_BATCH = 1000
_TENANT = "bench"
Work = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Turn:
    """One side, once: its latencies, and reads a second."""

    latency: Latency
    rate: float


async def timed(work: Work, many: int) -> Turn:
    """So many calls, one after another."""
    took = []
    begun = time.perf_counter()
    for number in range(many):
        start = time.perf_counter()
        await work(number)
        took.append(time.perf_counter() - start)
    latency = Latency.of(took)
    assert latency is not None
    return Turn(latency, many / (time.perf_counter() - begun))


async def reads(url: str, options: argparse.Namespace, events: Sequence[Event]) -> dict[str, list[Turn]]:
    """Every kind of read in turn, so many rounds after one to warm up."""
    turns: dict[str, list[Turn]] = {}
    mission = events[-1].mission
    async with connect_redis(url) as redis, Redis.from_url(url) as bare:
        await write(redis, events)
        async with CachedWorld(redis, _TENANT, stale_s=60.0) as cache:
            while cache._position < 0:
                await asyncio.sleep(0.01)  # it is told when it follows by nothing but this
            sides = await _sides(WorldView(WorldReader(redis, _TENANT)), WorldView(cache), bare, mission)
            for number in range(options.rounds + 1):
                for name, (work, share) in sides.items():
                    turn = await timed(work, max(20, round(options.reads * share)))
                    if number:
                        turns.setdefault(name, []).append(turn)
    return turns


async def _sides(world: WorldView, cached: WorldView, bare: Any, mission: str) -> dict[str, tuple[Work, float]]:
    tasks = [task.id for task in (await world.tasks(mission)).value]
    files = [file.path for file in (await world.files(mission, tree="")).value]
    keys = Keys(_TENANT, 1)
    size = len(await bare.hget(keys.part("tasks", mission), tasks[0]))
    await bare.set("bench:raw", b"x" * size)
    hundred, thousand = tasks[:100], tasks[:1000]
    checked = await world.task(mission, tasks[0])
    assert checked.value is not None
    assert checked == await cached.task(mission, tasks[0])
    return {
        "raw GET": (lambda _: bare.get("bench:raw"), 1.0),
        "task, by id": (lambda number: world.task(mission, tasks[number % len(tasks)]), 1.0),
        "raw HGET": (lambda _: bare.hget(keys.part("tasks", mission), tasks[0]), 1.0),
        "mission, by id": (lambda _: world.mission(mission), 1.0),
        "file, by path (with claims)": (lambda number: world.file(mission, files[number % len(files)]), 1.0),
        "task, cached": (lambda number: cached.task(mission, tasks[number % 50]), 5.0),
        "raw MGET of 100": (lambda _: bare.mget(["bench:raw"] * 100), 0.1),
        "100 tasks, by ids": (lambda _: world.tasks(mission, *hundred), 0.1),
        "raw HMGET of 1000": (lambda _: bare.hmget(keys.part("tasks", mission), thousand), 0.02),
        "1000 tasks, by ids": (lambda _: world.tasks(mission, *thousand), 0.02),
        "all files in the newest tree": (lambda _: world.files(mission), 0.02),
    }


async def write(redis: Any, events: Sequence[Event]) -> float:
    """Fold events into a fresh store; events a second."""
    await redis.flushall()
    store = WorldStore(redis, keep_s=_KEEP_S)
    await store.new_generation()
    await store.record(1, 0, {"generation": 1, "position": 0, "held": 0, "format": FORMAT}, anew=True)
    writer = WorldWriter(store, MemoryLog(), generation=1, epoch=1, position=0)
    begun = time.perf_counter()
    for start in range(0, len(events), _BATCH):
        part = tuple(events[start : start + _BATCH])
        await writer.take(Batch(part, part[-1].sequence))
    rate = len(events) / (time.perf_counter() - begun)
    await store.point(_TENANT, 1)
    return rate


async def folding(url: str, events: Sequence[Event], rounds: int) -> list[tuple[str, list[float]]]:
    """Events a second: in memory only, and with Redis behind it."""
    pure, stored = [], []
    async with connect_redis(url) as redis:
        for _ in range(rounds):
            begun = time.perf_counter()
            fold(events, World(_TENANT))
            pure.append(len(events) / (time.perf_counter() - begun))
            stored.append(await write(redis, events))
    return [("fold, in memory", pure), (f"fold and write to Valkey, batches of {_BATCH}", stored)]


async def rebuilding(redis_url: str, folder: Path, events: Sequence[Event]) -> tuple[float, float]:
    """Seconds for a rebuild from JetStream, and for reading the same events without doing anything."""
    with nats_server(folder, store_bytes=4 * 2**30) as server:
        nc = await connect(server.url, name="benchmark")
        await ensure_streams(nc)
        log = await JetStreamLog.open(nc)
        plain = [msgspec.structs.replace(event, sequence=0) for event in events]
        messages = [Write(frame) for frame in frames(plain)]
        for start in range(0, len(messages), 200):
            for said in await log.write(messages[start : start + 200]):
                assert isinstance(said, Ack), said
        begun = time.perf_counter()
        count = 0
        async for _ in log.read(Window()):
            count += 1
        reading = time.perf_counter() - begun
        assert count == len(events)
        async with connect_redis(redis_url) as redis:
            await redis.flushall()
            role = WorldRole(log, redis, keep_s=_KEEP_S)
            begun = time.perf_counter()
            await role.rebuild(None, lambda *_: None)
            took = time.perf_counter() - begun
        await log.close()
    return took, reading


def serialising(events: Sequence[Event]) -> Table:
    """The parts of a folded mission, there and back, in three forms."""
    mission = next(iter(fold(events, World(_TENANT)).missions.values()))
    kinds: dict[str, list[Any]] = {
        "mission": [mission.state],
        "task": list(mission.tasks.values())[:500],
        "file": list(mission.files.values())[:500],
        "test": list(mission.tests.values())[:500],
    }
    rows = []
    for name, parts in kinds.items():
        kind = type(parts[0])
        forms: list[tuple[str, Any, Any]] = [
            ("MessagePack", msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(kind)),
            ("JSON", msgspec.json.Encoder(), msgspec.json.Decoder(kind)),
        ]
        cells = []
        for _, encoder, decoder in forms:
            raw = [encoder.encode(part) for part in parts]
            there, back = _per_call(encoder.encode, parts), _per_call(decoder.decode, raw)
            cells.append(f"{sum(map(len, raw)) / len(raw):.0f} B, {there:.2f} / {back:.2f} µs")
        rows.append((name, *cells))
    return Table("One part: bytes, encode / decode", ("part", "MessagePack", "JSON"), tuple(rows))


def _per_call(work: Callable[[Any], object], over: Sequence[object]) -> float:
    """Microseconds of one call: the best of many tries."""
    best = float("inf")
    for _ in range(max(20, 5000 // len(over))):
        begun = time.perf_counter()
        _ = [work(one) for one in over]
        best = min(best, time.perf_counter() - begun)
    return best / len(over) * 1e6


def read_table(turns: dict[str, list[Turn]]) -> Table:
    """Medians over rounds."""
    rows = []
    for name, mine in turns.items():
        latency = Latency.median([turn.latency for turn in mine])
        assert latency is not None
        figures = (f"{latency.p50:.3f}", f"{latency.p95:.3f}", f"{latency.p99:.3f}")
        rows.append((name, *figures, f"{median(turn.rate for turn in mine):,.0f}"))
    return Table("Reading, ms", ("read", "p50", "p95", "p99", "reads/s"), tuple(rows))


async def measure(options: argparse.Namespace, folder: Path) -> list[Table]:
    """Everything, on one Valkey."""
    one = make_events(_TENANT, missions=1, tasks=options.tasks)
    many = make_events(_TENANT, missions=max(1, options.events // 6000), tasks=1000)
    with valkey_server(folder / "v") as valkey:
        turns = await reads(valkey.url, options, one)
        rates = await folding(valkey.url, many, options.rounds)
        took, reading = await rebuilding(valkey.url, folder / "n", many)
    rows = [(name, f"{median(found):,.0f} ({min(found):,.0f}–{max(found):,.0f})") for name, found in rates]
    rows.append((f"rebuild of {len(many):,} events from JetStream", f"{len(many) / took:,.0f} ({took:.1f} s)"))
    rows.append(("reading them alone", f"{len(many) / reading:,.0f} ({reading:.1f} s)"))
    return [read_table(turns), serialising(one), Table("Folding", ("what", "events/s"), tuple(rows))]


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reads", type=int, default=5000, help="point queries of each kind in a round")
    parser.add_argument("--tasks", type=int, default=2000, help="of the mission that is read")
    parser.add_argument("--events", type=int, default=100_000, help="to fold and to rebuild from")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        tables = runner.run(measure(options, Path(folder)))
    about = (
        f"Medians of {options.rounds} rounds after one to warm up, sides in turn; one asynchronous client, one call at "
        f"a time; {os.cpu_count()} cores; load before the start {load:.2f}."
    )
    if options.markdown:
        print("\n\n".join([about, *(f"**{table.title}**\n\n{marked(table)}" for table in tables)]))
    else:
        console = Console()
        for table in tables:
            console.print(drawn(table))
        console.print(about, soft_wrap=True)


if __name__ == "__main__":
    main()
