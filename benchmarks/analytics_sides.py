"""The processes of ``benchmarks.analytics``: chDB belongs to one process. Each prints one line of JSON at its end."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.synthetic import FRAME, messages, rows_sql
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect
from events.port import Stored
from projections.analytics.columns import parts_of, table_of
from projections.analytics.ddl import Layout
from projections.analytics.engine import ONE_BLOCK, ChdbEngine
from projections.analytics.following import AnalyticsRole
from projections.analytics.rows import decode
from projections.analytics.store import Store
from projections.archive.checking import verify
from projections.archive.columns import table_of as archive_table
from projections.archive.following import ArchiveRole, Limits
from projections.archive.messages import decode as archive_decode
from projections.archive.parquet import encoded
from projections.archive.places import FolderPlace
from projections.cutting import make_ready
from projections.frames import frame_of

_BLOCK = 1_000_000
Figures = dict[str, float]


def cpu_s() -> float:
    """User and system time of this process and all its threads."""
    times = os.times()
    return times.user + times.system


def engine(folder: Path, many: int) -> Figures:
    """What the engine does by itself: rows of ``numbers()`` into the same tables with the same views."""
    made, database = _opened(folder)
    began, spent = time.perf_counter(), cpu_s()
    for first in range(0, many, _BLOCK):
        made.command(f"INSERT INTO {database}.events {rows_sql(first, min(_BLOCK, many - first), 3600)}")
    seconds, spent = time.perf_counter() - began, cpu_s() - spent
    assert made.query(f"SELECT count() FROM {database}.events")[0][0] == many
    made.close()
    return {"seconds": seconds, "cpu_s": spent}


def stages(folder: Path, many: int) -> Figures:
    """Processor time of each stage by itself, in µs an event."""
    make_ready()
    made = [Stored(n + 1, each.subject, each.payload) for n, each in enumerate(messages(many))]
    found: dict[str, float] = {}
    table_of(parts_of([decode(Stored(1, each.subject, each.payload)) for each in messages(8 * FRAME)]))  # to warm up

    def timed[T](name: str, work: Callable[[], T]) -> T:
        began = cpu_s()
        result = work()
        found[name] = (cpu_s() - began) / many * 1e6
        return result

    timed("cutting", lambda: [frame_of(each) for each in made])
    rows = timed("the sink's own", lambda: table_of(parts_of([decode(each) for each in made])))
    archived = timed("the archive's own", lambda: archive_table([archive_decode(each) for each in made]))
    timed("Parquet", lambda: [encoded(archived.slice(n, 100_000)) for n in range(0, many, 100_000)])
    opened, database = _opened(folder)
    timed("engine", lambda: opened.insert(f"{database}.events", rows, ONE_BLOCK))
    opened.close()
    return found


def _opened(folder: Path) -> tuple[ChdbEngine, str]:
    made = ChdbEngine(folder)
    return made, Store(made, Layout(), "benchmark").open().database


async def follow(url: str, folder: Path, last: int, models: tuple[str, ...]) -> Figures:
    """The log into read models up to a sequence, all in this process, as ``stig serve`` hosts them.

    Every commit is a line on standard output: the model, and the sequence it has reached.
    """
    make_ready()
    log = await JetStreamLog.open(await connect(url, name="benchmark"))
    begun: dict[str, float] = {}
    reached = {model: asyncio.Event() for model in models}

    def committed(model: str) -> Callable[[int], None]:
        def tell(at: int) -> None:
            print(model, at, flush=True)
            if at >= last:
                reached[model].set()

        return tell

    def made(model: str) -> AnalyticsRole | ArchiveRole:
        if model == "sink":
            return AnalyticsRole(log, ChdbEngine(folder / "sink"), writer="benchmark", committed=committed(model))
        # A minute is what the archive waits for more by default; at the end of a benchmark there is no more.
        return ArchiveRole(log, FolderPlace(folder / "archive"), Limits(seconds=1.0), committed=committed(model))

    running: list[asyncio.Task[None]] = []
    for model in models:  # the sink first: opening the engine takes a second, and the others join it
        ready, role = asyncio.Event(), made(model)
        running.append(asyncio.create_task(role.run(ready)))
        await asyncio.wait({running[-1], asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        begun[model] = time.perf_counter()
        # One that was done when the process before this one was killed has nothing more to commit.
        committed(model)(role.end if isinstance(role, ArchiveRole) else await role.position())
    spent = cpu_s()
    done = asyncio.create_task(_all(reached))
    await asyncio.wait({*running, done}, return_when=asyncio.FIRST_COMPLETED)
    seconds, spent = time.perf_counter() - min(begun.values()), cpu_s() - spent
    for task in running:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await log.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu_s": spent, "peak_mb": peak}


async def _all(reached: dict[str, asyncio.Event]) -> None:
    for event in reached.values():
        await event.wait()


async def judge(url: str, folder: Path, last: int) -> Figures:
    """What the read models hold: nothing lost, nothing doubled. ``problems`` is 0 if so."""
    log = await JetStreamLog.open(await connect(url, name="judge"))
    place = FolderPlace(folder / "archive")
    report = await verify(place, log)
    await log.close()
    made, database = _opened(folder / "sink")
    [row] = made.query(
        f"SELECT count(), uniqExact(sequence, idx), max(sequence), uniqExact(sequence) FROM {database}.events"
    )
    [(rolled,)] = made.query(f"SELECT sum(events) FROM {database}.type_minutes")
    made.close()
    rows, different, newest, messages_ = (int(each) for each in row)
    right = (rows == different == report.events == report.compared == int(rolled), newest == last, messages_ == last)
    return {
        "rows": rows,
        "archived": report.events,
        "problems": len(report.problems) + right.count(False),
    }


def main() -> None:
    """``engine|stages FOLDER MANY``, ``judge FOLDER LAST URL``, or ``follow FOLDER LAST URL sink[,archive]``."""
    name, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name in ("engine", "stages"):
        result = {"engine": engine, "stages": stages}[name](folder, number)
    else:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            if name == "judge":
                result = runner.run(judge(sys.argv[4], folder, number))
            else:
                result = runner.run(follow(sys.argv[4], folder, number, tuple(sys.argv[5].split(","))))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
