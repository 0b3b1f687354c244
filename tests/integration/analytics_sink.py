"""A sink in a process of its own, for tests that kill it: ``analytics_sink.py <nats url> <engine> <rows of a batch>``.

Writes ``ready``, and after every insert the sequence it has come to.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from events.jetstream import JetStreamLog, connect
from projections.analytics.engine import open_engine
from projections.analytics.following import AnalyticsRole
from projections.analytics.gathering import Limits
from projections.cutting import make_ready
from schemas.errors import StigmergyError


async def main(url: str, engine: str, rows: int) -> None:
    make_ready()  # so that frames are cut from the first one on
    log = await JetStreamLog.open(await connect(url, name="analytics"))
    ready = asyncio.Event()
    role = AnalyticsRole(
        log,
        open_engine(engine),
        writer="sink",
        limits=Limits(rows=rows, seconds=0.05, retry_s=0.1),
        committed=lambda last: print(last, flush=True),
    )
    running = asyncio.create_task(role.run(ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if ready.is_set():
        print(f"ready {await role.position()}", flush=True)
    await running


if __name__ == "__main__":
    logging.basicConfig(level="INFO", stream=sys.stderr)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    except StigmergyError as error:
        print(f"{error.code}: {error.message}", flush=True)
        raise SystemExit(3) from error
