"""A writer in a process of its own, for tests that kill it: ``archive_writer.py <nats url> <folder>``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from events.jetstream import JetStreamLog, connect
from projections.archive.following import ArchiveRole, Limits
from projections.archive.places import FolderPlace
from projections.cutting import make_ready

LIMITS = Limits(events=300, bytes=2**20, seconds=0.05, retry_s=0.1)


async def main(url: str, folder: str) -> None:
    make_ready()  # so that frames are cut from the first one on
    log = await JetStreamLog.open(await connect(url, name="archive"))
    ready = asyncio.Event()
    running = asyncio.create_task(ArchiveRole(log, FolderPlace(Path(folder)), LIMITS).run(ready))
    await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
