"""The processes of ``benchmarks.analytics``: chDB belongs to one process. Each prints one line of JSON at its end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.synthetic import messages, rows_sql
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect
from events.port import Stored
from projections.analytics.columns import table_of
from projections.analytics.ddl import Layout
from projections.analytics.engine import ONE_BLOCK, ChdbEngine
from projections.analytics.following import AnalyticsRole
from projections.analytics.rows import decode
from projections.analytics.store import Store
from projections.archive.following import ArchiveRole
from projections.archive.places import FolderPlace

_BLOCK = 1_000_000


def cpu_s() -> float:
    """User and system time of this process and all its threads."""
    times = os.times()
    return times.user + times.system


def engine(folder: Path, many: int) -> dict[str, float]:
    """What the engine does by itself: rows of ``numbers()`` into the same tables with the same views."""
    made, database = _opened(folder)
    began, spent = time.perf_counter(), cpu_s()
    for first in range(0, many, _BLOCK):
        made.command(f"INSERT INTO {database}.events {rows_sql(first, min(_BLOCK, many - first), 3600)}")
    seconds, spent = time.perf_counter() - began, cpu_s() - spent
    assert made.query(f"SELECT count() FROM {database}.events")[0][0] == many
    made.close()
    return {"seconds": seconds, "cpu_s": spent}


def stages(folder: Path, many: int) -> dict[str, float]:
    """Processor time of each stage by itself, in µs an event."""
    stored = [Stored(n + 1, each.subject, each.payload) for n, each in enumerate(messages(many))]
    found: dict[str, float] = {}

    def timed[T](name: str, work: Callable[[], T]) -> T:
        began = cpu_s()
        result = work()
        found[name] = (cpu_s() - began) / many * 1e6
        return result

    decoded = timed("decode", lambda: [decode(each) for each in stored])
    table = timed("columns", lambda: [table_of(decoded[n : n + 16]) for n in range(0, len(decoded), 16)])
    made, database = _opened(folder)
    timed("engine", lambda: [made.insert(f"{database}.events", each, ONE_BLOCK) for each in [_joined(table)]])
    made.close()
    return found


def _joined(tables: list[object]) -> object:
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()


def _opened(folder: Path) -> tuple[ChdbEngine, str]:
    made = ChdbEngine(folder)
    return made, Store(made, Layout(), "benchmark").open().database


async def sink(url: str, folder: Path, last: int) -> dict[str, float]:
    """The log into chDB, up to a sequence."""
    done = asyncio.Event()
    log = await JetStreamLog.open(await connect(url, name="sink"))
    made = ChdbEngine(folder)
    role = AnalyticsRole(log, made, writer="benchmark", committed=lambda at: done.set() if at >= last else None)
    return await _measured(log, role, done)


async def archive(url: str, folder: Path, last: int) -> dict[str, float]:
    """The log into Parquet, up to a sequence."""
    done = asyncio.Event()
    log = await JetStreamLog.open(await connect(url, name="archive"))
    role = ArchiveRole(log, FolderPlace(folder), committed=lambda at: done.set() if at >= last else None)
    return await _measured(log, role, done)


async def _measured(log: JetStreamLog, role: AnalyticsRole | ArchiveRole, done: asyncio.Event) -> dict[str, float]:
    ready = asyncio.Event()
    running = asyncio.create_task(role.run(ready))
    await ready.wait()
    began, spent = time.perf_counter(), cpu_s()
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    seconds, spent = time.perf_counter() - began, cpu_s() - spent
    if running.done():
        running.result()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await log.close()
    return {"seconds": seconds, "cpu_s": spent}


def main() -> None:
    """``analytics_sides.py engine|stages FOLDER MANY`` or ``sink|archive FOLDER LAST URL``."""
    name, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name in ("engine", "stages"):
        result = {"engine": engine, "stages": stages}[name](folder, number)
    else:
        side = {"sink": sink, "archive": archive}[name]
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            result = runner.run(side(sys.argv[4], folder, number))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
