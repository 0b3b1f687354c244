"""The log into ClickHouse beside what ClickHouse does by itself, in one run, taking turns.

``python -m benchmarks.analytics --events 10000000 --archive --markdown``. The engine is chDB. Needs about 1.5 kB of
disk an event among the temporary files.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console

from benchmarks.processes import ROOT
from benchmarks.synthetic import FRAME, messages
from benchmarks.tables import Table, drawn, marked
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.publisher import Message, Publisher
from schemas.errors import StigmergyError
from stigmergy.local.ephemeral import nats_server

_DISTINCT = 400_000
Figures = dict[str, float]


async def filled(url: str, many: int) -> int:
    """Publish frames to a new server; returns the last sequence. The same frames come again under other ids."""
    nc = await connect(url, name="benchmark")
    await ensure_streams(nc)
    log, publisher = await JetStreamLog.open(nc), Publisher(nc)
    await publisher.open()
    made = messages(min(many, _DISTINCT))
    for start in range(0, many // FRAME, 16):
        part = [_again(made[n % len(made)], n) for n in range(start, min(start + 16, many // FRAME))]
        for result in await publisher.store(part):
            if isinstance(result, StigmergyError):
                raise result
    last = await log.last_sequence()
    await log.close()
    return last


def _again(message: Message, number: int) -> Message:
    return Message(message.subject, message.payload, f"frame-{number}", message.content_type)


def started(name: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A side, as a process."""
    argv = (sys.executable, "-m", "benchmarks.analytics_sides", name, *map(str, arguments))
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> Figures:
    """Its figures."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} ended with status {process.returncode}")
    return msgspec.json.decode(output, type=dict[str, float])


def measured(options: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Figures]], Figures]:
    """For every round the figures of each side; and processor time by stage."""
    rounds: list[dict[str, Figures]] = []
    (folder / "nats").mkdir()
    with nats_server(folder / "nats", store_bytes=options.events * 1000 + 2**30) as server:
        last = asyncio.run(filled(server.url, options.events))
        for number in range(options.rounds):
            figures = {"engine": finished(started("engine", folder / f"e{number}", options.events))}
            sides = ("sink", "archive") if options.archive else ("sink",)
            running = {name: started(name, folder / f"{name}{number}", last, server.url) for name in sides}
            rounds.append(figures | {name: finished(process) for name, process in running.items()})
            for each in folder.glob(f"*{number}"):
                shutil.rmtree(each)
    return rounds, finished(started("stages", folder / "stages", min(options.events, _DISTINCT)))


def table(rounds: list[dict[str, Figures]], events: int) -> Table:
    """Medians over rounds, lowest and highest in brackets; ratios are medians of the rounds' own."""
    titles = {
        "engine": "ClickHouse by itself: `INSERT … SELECT … FROM numbers()`",
        "sink": "log → ClickHouse",
        "archive": "log → Parquet, at the same time",
    }
    rows = []
    for name in rounds[0]:
        rates = [events / each[name]["seconds"] for each in rounds]
        ratio = median(each["engine"]["seconds"] / each[name]["seconds"] for each in rounds)
        spent = median(each[name]["cpu_s"] for each in rounds) / events * 1e6
        shown = f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
        rows.append((titles[name], shown, f"{spent:.2f}", f"{ratio:.2f}×"))
    return Table("Analytics", ("side", "events/s", "CPU µs/event", "rate / ClickHouse by itself"), tuple(rows))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--archive", action="store_true", help="run the archive beside the sink, in another process")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder:
        rounds, stages = measured(options, Path(folder))
    made = table(rounds, options.events)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in stages.items())
    about = (
        f"Medians of {options.rounds} rounds, sides in turn; {options.events:,} events of about 440 bytes in frames of "
        f"{FRAME}, six rollups; chDB; {os.cpu_count()} cores; load before the start {load:.2f}. By stage, each alone, "
        f"CPU µs an event: {parts}."
    )
    if options.markdown:
        print(f"{about}\n\n{marked(made)}")
    else:
        console = Console()
        console.print(drawn(made))
        console.print(about, soft_wrap=True)


if __name__ == "__main__":
    main()
