"""Publishing to the log: nats-py one by one and gathered, ours singly and in frames, and the limit of ready-made bytes.

``python -m benchmarks.publishing --markdown``. The sides take turns in one run, on one throw-away server.
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

import msgspec
from nats.aio.client import Client
from nats.js import JetStreamContext
from rich.console import Console

from benchmarks.measuring import SUBMITTER, CpuMeter
from benchmarks.tables import Table, drawn, marked
from events.buffered import BufferedPublisher
from events.codec import encode, subject_of
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.jetstream.publisher import Message, Publisher
from events.port import Ack, Write
from schemas.envelope import Event
from schemas.errors import StigmergyError
from schemas.ids import uuid7
from schemas.subjects import EVENTS
from stigmergy.local.ephemeral import nats_server

_FRAME = 1000
_DATA = msgspec.Raw(msgspec.json.encode({"text": "x" * 60}))
Send = Callable[[Sequence[Event]], Awaitable[None]]


@dataclass(frozen=True)
class Turn:
    """One side, once: events a second, and microseconds of processor time an event, ours and the server's."""

    rate: float
    client_us: float
    server_us: float


class Sides:
    """The ways to publish. ``in_flight`` messages are unacknowledged at once, as two halves that take turns."""

    def __init__(self, nc: Client, log: JetStreamLog, publisher: Publisher, in_flight: int) -> None:
        self._js: JetStreamContext = nc.jetstream()
        self._log, self._publisher, self._in_flight = log, publisher, in_flight

    async def one_by_one(self, events: Sequence[Event]) -> None:
        for event in events:
            await self._js_publish(event)

    async def gathered(self, events: Sequence[Event]) -> None:
        async def chunk(part: Sequence[Event]) -> None:
            await asyncio.gather(*(self._js_publish(event) for event in part))

        await self._halves(events, chunk)

    async def singles(self, events: Sequence[Event]) -> None:
        async def chunk(part: Sequence[Event]) -> None:
            _all_stored(await self._log.write([Write((event,)) for event in part]))

        await self._halves(events, chunk)

    async def buffered(self, events: Sequence[Event]) -> None:
        async with BufferedPublisher(self._log, frame_events=_FRAME) as publisher:
            for event in events:
                await publisher.publish(event)
        assert publisher.report.acknowledged == len(events), publisher.report

    async def ready_made(self, messages: list[Message]) -> None:
        for start in range(0, len(messages), 16):
            _all_stored(await self._publisher.store(messages[start : start + 16]))

    async def _js_publish(self, event: Event) -> None:
        payload, _ = encode([event])
        await self._js.publish(subject_of((event,)), payload, headers={"Nats-Msg-Id": event.id})

    async def _halves(self, events: Sequence[Event], send: Send) -> None:
        size = self._in_flight // 2
        parts = iter([events[start : start + size] for start in range(0, len(events), size)])

        async def half() -> None:
            for part in parts:
                await send(part)

        await asyncio.gather(half(), half())


def make_events(many: int, missions: int) -> list[Event]:
    """Events of about 300 bytes in runs of ten, spread over missions."""
    return [
        Event(
            id=uuid7(),
            source="/benchmark",
            type="note.posted",
            time="2026-01-31T12:00:00.000000Z",
            tenant="bench",
            mission=f"m{number // 10 % missions}",
            data=_DATA,
        )
        for number in range(many)
    ]


def make_messages(many: int, missions: int) -> list[Message]:
    """The same, framed and encoded."""
    lanes: dict[str, list[Event]] = {}
    for event in make_events(many, missions):
        lanes.setdefault(event.mission, []).append(event)
    cut = [lane[start : start + _FRAME] for lane in lanes.values() for start in range(0, len(lane), _FRAME)]
    return [_message(tuple(part)) for part in cut]


def _message(part: tuple[Event, ...]) -> Message:
    payload, kind = encode(part)
    return Message(subject_of(part), payload, part[0].id, kind)


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[Turn]]:
    """Every side in turn, so many rounds after one to warm up."""
    turns: dict[str, list[Turn]] = {}
    with nats_server(folder, store_bytes=8 * 2**30) as server:
        nc = await connect(server.url, name="benchmark")
        await ensure_streams(nc)
        log, publisher = await JetStreamLog.open(nc), Publisher(nc)
        await publisher.open()
        sides = Sides(nc, log, publisher, options.in_flight)
        meter = CpuMeter({"server": server.pid})
        for number in range(options.rounds + 1):
            for name, many in sizes(options).items():
                turn = await _turn(sides, name, many, options.missions, meter, nc)
                if number:
                    turns.setdefault(name, []).append(turn)
            await call(nc, f"STREAM.PURGE.{EVENTS}")
        await log.close()
    return turns


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """Events of each side in a round: some tenths of a second each."""
    scale: float = options.scale
    many = {"one_by_one": 2_000, "gathered": 15_000, "singles": 30_000, "buffered": 200_000, "ready_made": 500_000}
    return {name: round(number * scale) for name, number in many.items()}


async def _turn(sides: Sides, name: str, many: int, missions: int, meter: CpuMeter, nc: Client) -> Turn:
    if name == "ready_made":
        messages = make_messages(many, missions)
        stored = len(messages)
        work = sides.ready_made(messages)
    else:
        events = make_events(many, missions)
        stored = many if name != "buffered" else 0
        work = getattr(sides, name)(events)
    before = await _messages(nc)
    meter.start()
    start = time.perf_counter()
    await work
    seconds = time.perf_counter() - start
    spent = meter.spent()
    added = await _messages(nc) - before
    assert added == stored or (not stored and added >= many / _FRAME), f"{name}: {added} messages of {stored}"
    return Turn(many / seconds, spent[SUBMITTER] / many * 1e6, spent["server"] / many * 1e6)


async def _messages(nc: Client) -> int:
    return int((await call(nc, f"STREAM.INFO.{EVENTS}"))["state"]["last_seq"])


def _all_stored(results: Sequence[Ack | StigmergyError]) -> None:
    for result in results:
        if isinstance(result, StigmergyError):
            raise result


def table(turns: dict[str, list[Turn]], options: argparse.Namespace) -> Table:
    """Medians over rounds, lowest and highest in brackets; ratios are medians of the rounds' own ratios."""
    titles = {
        "one_by_one": "nats-py `js.publish`, one by one",
        "gathered": f"nats-py `gather`, {options.in_flight} in flight",
        "singles": f"`Log.write`, single events, {options.in_flight} in flight",
        "buffered": f"`BufferedPublisher`, frames of up to {_FRAME}",
        "ready_made": f"ready-made frames of {_FRAME} (the limit)",
    }
    rows = []
    for name, title in titles.items():
        mine, rates = turns[name], [turn.rate for turn in turns[name]]
        ratio = median(turn.rate / other.rate for turn, other in zip(mine, turns["gathered"], strict=True))
        cpu = median(other.client_us / turn.client_us for turn, other in zip(mine, turns["gathered"], strict=True))
        rows.append(
            (
                title,
                f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
                f"{median(turn.client_us for turn in mine):.2f}",
                f"{median(turn.server_us for turn in mine):.2f}",
                f"{ratio:.2f}×",
                f"{cpu:.2f}×",
            )
        )
    heads = (
        "publishing",
        "events/s",
        "client CPU µs/event",
        "server CPU µs/event",
        "rate / gather",
        "CPU: gather / it",
    )
    return Table("Publishing, acknowledged", heads, tuple(rows))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=500)
    parser.add_argument("--missions", type=int, default=8)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of events")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder:
        made = table(asyncio.run(measure(options, Path(folder))), options)
    about = (
        f"Medians of {options.rounds} rounds after one to warm up, sides in turn; {options.missions} missions; "
        f"events of about 300 bytes; {os.cpu_count()} cores; load before the start {load:.2f}."
    )
    if options.markdown:
        print(f"{about}\n\n{marked(made)}")
    else:
        console = Console()
        console.print(drawn(made))
        console.print(about, soft_wrap=True)


if __name__ == "__main__":
    main()
