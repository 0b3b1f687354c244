"""The archive's writer at volume: from frames on the log to Parquet files that are synced and committed.

``python -m benchmarks.archive --markdown``. The log is filled before the clock starts, so that the writer is measured
and not the publisher; it ends with the commit of the last event.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from nats.aio.client import Client
from rich.console import Console

from benchmarks.measuring import SUBMITTER, CpuMeter
from benchmarks.publishing import make_messages
from benchmarks.tables import Table, drawn, marked
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.publisher import Publisher
from projections.archive.following import ArchiveRole, Limits
from projections.archive.places import FolderPlace
from projections.archive.summary import summary
from schemas.errors import StigmergyError
from stigmergy.local.ephemeral import nats_server


@dataclass(frozen=True)
class Turn:
    """One run: events a second, microseconds of processor time an event, bytes an event on disk."""

    rate: float
    writer_us: float
    server_us: float
    bytes: float


async def fill(nc: Client, events: int, missions: int) -> int:
    """Put events on the log in frames of a thousand; the last sequence."""
    publisher, last = Publisher(nc), 0
    await publisher.open()
    messages = make_messages(events, missions)
    for start in range(0, len(messages), 16):
        for result in await publisher.store(messages[start : start + 16]):
            if isinstance(result, StigmergyError):
                raise result
            last = result.sequence
    publisher.close()
    return last


async def archive(nc: Client, folder: Path, last: int, events: int, server: int) -> Turn:
    """Archive all that the log holds into a new folder."""
    place, done, meter = FolderPlace(folder), asyncio.Event(), CpuMeter({"server": server})
    log = await JetStreamLog.open(nc)
    role = ArchiveRole(log, place, Limits(seconds=0.05), committed=lambda at: done.set() if at >= last else None)
    meter.start()
    began = time.perf_counter()
    running = asyncio.create_task(role.run())
    await asyncio.wait({running, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
    seconds, spent = time.perf_counter() - began, meter.spent()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    found = await asyncio.to_thread(summary, place)
    assert (found.end, found.events) == (last, events), found
    return Turn(events / seconds, spent[SUBMITTER] / events * 1e6, spent["server"] / events * 1e6, found.bytes / events)


async def measure(options: argparse.Namespace, folder: Path) -> list[Turn]:
    """So many rounds after one to warm up, over one log."""
    turns: list[Turn] = []
    with nats_server(folder / "nats", store_bytes=8 * 2**30) as server:
        nc = await connect(server.url, name="benchmark")
        await ensure_streams(nc)
        last = await fill(nc, options.events, options.missions)
        for number in range(options.rounds + 1):
            turn = await archive(nc, folder / f"archive-{number}", last, options.events, server.pid)
            if number:
                turns.append(turn)
        await nc.close()
    return turns


def table(turns: list[Turn]) -> Table:
    """Medians, lowest and highest in brackets."""
    rates = [turn.rate for turn in turns]
    row = (
        f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{median(turn.writer_us for turn in turns):.2f}",
        f"{median(turn.server_us for turn in turns):.2f}",
        f"{median(turn.bytes for turn in turns):.1f}",
    )
    heads = ("events/s", "writer CPU µs/event", "server CPU µs/event", "bytes/event")
    return Table("Archiving, frames of 1000, synced and committed", heads, (row,))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=2_000_000, help="a multiple of 1000 for each mission")
    parser.add_argument("--missions", type=int, default=8)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        made = table(runner.run(measure(options, Path(folder))))
    about = (
        f"Medians of {options.rounds} rounds after one to warm up; {options.events:,} events of about 300 bytes of "
        f"{options.missions} missions; {os.cpu_count()} cores; load before the start {load:.2f}."
    )
    if options.markdown:
        print(f"{about}\n\n{marked(made)}")
    else:
        console = Console()
        console.print(drawn(made))
        console.print(about, soft_wrap=True)


if __name__ == "__main__":
    main()
