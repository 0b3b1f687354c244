"""The log into ClickHouse beside what ClickHouse does by itself, in one run, taking turns.

``python -m benchmarks.analytics --events 10000000 --rounds 1 --archive --markdown``. The engine is chDB. Needs about
600 bytes of disk an event among the temporary files.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console

from benchmarks.measuring import CpuMeter
from benchmarks.processes import ROOT
from benchmarks.synthetic import FRAME, messages
from benchmarks.tables import Table, drawn, marked
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.packing import packed
from events.jetstream.publisher import Message, Publisher
from schemas.errors import StigmergyError
from stigmergy.local.ephemeral import nats_server

_DISTINCT = 400_000
Figures = dict[str, float]


async def filled(url: str, many: int) -> int:
    """Publish frames to a new server; returns the last sequence. The same frames come again under other ids."""
    # First: it takes so long that a connection would be given up meanwhile.
    made = [_packed(each) for each in messages(min(many, _DISTINCT))]
    nc = await connect(url, name="benchmark")
    await ensure_streams(nc)
    log, publisher = await JetStreamLog.open(nc), Publisher(nc)
    await publisher.open()
    for start in range(0, many // FRAME, 16):
        part = [_again(made[n % len(made)], n) for n in range(start, min(start + 16, many // FRAME))]
        for result in await publisher.store(part):
            if isinstance(result, StigmergyError):
                raise result
    last = await log.last_sequence()
    await log.close()
    return last


def _packed(message: Message) -> Message:
    """As a log writes it."""
    payload, said = packed(message.payload)
    return message._replace(payload=payload, extra=said)


def _again(message: Message, number: int) -> Message:
    return message._replace(message_id=f"frame-{number}")


class Side:
    """A side, as a process.

    Attributes:
        steps: seconds since its start, and the last sequence of each commit, by read model.
    """

    def __init__(self, name: str, *arguments: object) -> None:
        argv = (sys.executable, "-m", "benchmarks.analytics_sides", name, *map(str, arguments))
        self.process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.steps: dict[str, list[tuple[float, int]]] = {}

    def finished(self) -> Figures:
        """Its figures."""
        figures = self.follow()
        if figures is None or self.process.wait():
            raise SystemExit(f"{self.process.args!r} ended with status {self.process.returncode}")
        return figures

    def follow(self, until: tuple[str, int] | None = None) -> Figures | None:
        """Read what it says to its end, or until a model has reached a sequence."""
        began = time.perf_counter()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return msgspec.json.decode(line, type=dict[str, float])
            model, at = line.split()
            self.steps.setdefault(model, []).append((time.perf_counter() - began, int(at)))
            if until is not None and model == until[0] and int(at) >= until[1]:
                return None
        return None

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def by_the_engine(folder: Path, events: int) -> Figures:
    """What the engine does by itself with as many rows."""
    return Side("engine", _place(folder), events).finished()


def _place(folder: Path) -> Path:
    """A folder that stays until the end: ext4 makes files more slowly for seconds after many were deleted."""
    return Path(tempfile.mkdtemp(dir=folder))


def by_the_sink(
    options: argparse.Namespace, folder: Path, url: str, last: int
) -> tuple[dict[str, Figures], list[Side]]:
    """One run of the read models over the whole log, killed on its way if wanted; and what they hold at the end."""
    models = _place(folder)
    groups = ["sink,archive"] if options.archive else ["sink"]
    if options.apart:
        groups = ["sink", "archive"]
    sides = [Side("follow", models, last, url, group) for group in groups]
    before = 0.0
    if options.kill:
        sides[0].follow(("sink", last // 2))
        before = sides[0].steps["sink"][-1][0]
        sides[0].kill()
        sides.insert(0, Side("follow", models, last, url, groups[0]))
        sides.append(sides.pop(1))
    figures = {group: side.finished() for group, side in zip(groups, sides, strict=False)}
    figures[groups[0]]["seconds"] += (
        before  # from its start, so with opening the engine; its processor time is not known
    )
    if options.archive or options.apart:
        figures["judge"] = Side("judge", models, last, url).finished()
        if figures["judge"]["problems"]:
            raise SystemExit(f"events were lost or doubled: {figures['judge']}")
    return figures, sides


def measured(options: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Figures]], list[Side], Figures]:
    """For every round the figures of each side; the last round's own course; and processor time by stage."""
    rounds: list[dict[str, Figures]] = []
    sides: list[Side] = []
    (folder / "nats").mkdir()
    with nats_server(folder / "nats", store_bytes=options.events * 1000 + 2**30) as server:
        last = asyncio.run(filled(server.url, options.events))
        before = by_the_engine(folder, options.events)
        for _ in range(options.rounds):
            meter = CpuMeter({"server": server.pid})
            meter.start()
            figures, sides = by_the_sink(options, folder, server.url, last)
            after = by_the_engine(folder, options.events)
            # The machine may be quicker now than then: the mean of before and after is what it could have done.
            mean = {key: (before[key] + after[key]) / 2 for key in before}
            rounds.append({"engine": mean, **figures, "server": {"cpu_s": meter.spent()["server"]}})
            before = after
    return rounds, sides, Side("stages", folder / "stages", min(options.events, _DISTINCT)).finished()


def table(rounds: list[dict[str, Figures]], events: int) -> Table:
    """Medians over rounds, lowest and highest in brackets; ratios are medians of the rounds' own."""
    titles = {
        "engine": "ClickHouse by itself: `INSERT … SELECT … FROM numbers()`",
        "sink": "log → ClickHouse",
        "archive": "log → Parquet, at the same time",
        "sink,archive": "log → ClickHouse and Parquet, in one process",
    }
    rows = []
    for name in (each for each in titles if each in rounds[0]):
        rates = [events / each[name]["seconds"] for each in rounds]
        ratio = median(each["engine"]["seconds"] / each[name]["seconds"] for each in rounds)
        spent = median(each[name]["cpu_s"] for each in rounds) / events * 1e6
        shown = f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
        peak = f"{max(each[name]['peak_mb'] for each in rounds):,.0f}" if "peak_mb" in rounds[0][name] else ""
        rows.append((titles[name], shown, f"{spent:.2f}", f"{ratio:.2f}×", peak))
    heads = ("side", "events/s", "CPU µs/event", "rate / ClickHouse by itself", "peak MB")
    return Table("Analytics", heads, tuple(rows))


def course(sides: list[Side]) -> str:
    """Events a second of each model over its way, a million at a time."""
    lines = []
    for model, steps in ((model, steps) for side in sides for model, steps in side.steps.items()):
        rates, (then, at) = [], steps[0]
        for moment, reached in steps[1:]:
            if (reached - at) * FRAME >= 1_000_000 and moment > then:
                rates.append(f"{(reached - at) * FRAME / (moment - then) / 1000:,.0f}")
                then, at = moment, reached
        lines.append(f"{model}: {' '.join(rates)}" if rates else "")
    return "\n".join(filter(None, lines))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--archive", action="store_true", help="run the archive beside the sink, in the same process")
    parser.add_argument("--apart", action="store_true", help="run the archive beside the sink, in another process")
    parser.add_argument("--kill", action="store_true", help="SIGKILL the sink's process half way, and start it again")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder:
        rounds, sides, stages = measured(options, Path(folder))
    made = table(rounds, options.events)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in stages.items())
    server = median(each["server"]["cpu_s"] for each in rounds) / options.events * 1e6
    about = (
        f"Medians of {options.rounds} rounds, sides in turn; {options.events:,} events of about 440 bytes in frames of "
        f"{FRAME}, all rollups; chDB; {os.cpu_count()} cores; load before the start {load:.2f}. By stage, each alone, "
        f"CPU µs an event: {parts}; the message server, until all was checked, {server:.2f}."
    )
    if "judge" in rounds[-1]:
        found = rounds[-1]["judge"]
        about += (
            f" At the end {found['rows']:,.0f} rows and {found['archived']:,.0f} archived: none lost, none doubled."
        )
    if options.kill:
        about += " Killed half way: its time is that of both lives, its processor time that of the second."
    ways = course(sides)
    if ways:
        about += f"\n\nThousands of events a second over the last round, by the million:\n\n{ways}"
    if options.markdown:
        print(f"{about}\n\n{marked(made)}")
    else:
        console = Console()
        console.print(drawn(made))
        console.print(about, soft_wrap=True)


if __name__ == "__main__":
    main()
