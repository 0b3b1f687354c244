"""A small read model for tests, as honest as the large ones: how many events of each type, in a file.

As a program, a process that hosts it: ``tally.py <nats url> <folder> <pause in a rebuild, seconds a batch>``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

from events.jetstream import JetStreamLog, connect
from events.port import Batch, Log, Window
from events.services import NatsServices
from projections.hosting import Hosted
from projections.port import Progress


class Tally:
    """Position and counts are one file, replaced in one step. A rebuild has a file beside it until it switches."""

    name = "tally"

    def __init__(self, log: Log, folder: Path, pause_s: float = 0.0) -> None:
        self._stream, self._folder, self._pause_s = log, folder, pause_s
        self._file = folder / "tally.json"
        self._generation = 0
        self.held: int | None = None

    def read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"position": 0, "counts": {}}
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    async def position(self) -> int:
        return int(self.read()["position"])

    async def run(self, ready: asyncio.Event | None = None) -> None:
        if ready is not None:
            ready.set()
        while True:
            generation = self._generation
            async with aclosing(self._stream.follow(Window(first=await self.position() + 1))) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    if generation != self._generation:  # switched: what follows begins elsewhere
                        break
                    if self.held is None:
                        write(self._file, added(self.read(), batch))

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        goal, beside = (await self._stream.last_sequence() if to is None else to), self._folder / "tally.next"
        state: dict[str, Any] = {"position": 0, "counts": {}}
        write(beside, state)
        async with aclosing(self._stream.follow(Window(), batch=100)) as batches:  # type: ignore[type-var]
            while state["position"] < goal:
                batch = await anext(batches)
                fitting = tuple(event for event in batch.events if event.sequence <= goal)
                state = added(state, Batch(fitting, min(batch.last, goal)))
                write(beside, state)
                progress(state["position"], goal)
                await asyncio.sleep(self._pause_s)
        os.replace(beside, self._file)
        self._generation, self.held = self._generation + 1, to
        return goal


def added(state: dict[str, Any], batch: Batch) -> dict[str, Any]:
    counts = Counter(state["counts"]) + Counter(event.type for event in batch.events)
    return {"position": batch.last, "counts": dict(counts)}


def write(path: Path, state: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft" + path.suffix)
    draft.write_text(json.dumps(state))
    os.replace(draft, path)


async def main(url: str, folder: str, pause_s: str) -> None:
    nc = await connect(url, name="tally")
    log = await JetStreamLog.open(nc)
    ready = asyncio.Event()
    hosted = Hosted(
        "tally", lambda: Tally(log, Path(folder), float(pause_s)), log, NatsServices(nc), host="tally-host", alone=True
    )
    running = asyncio.create_task(hosted.run(ready))
    await ready.wait()
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
