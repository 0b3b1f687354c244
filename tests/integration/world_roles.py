"""A role at work, and waiting until it has come so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from events.memory import MemoryLog
from projections.world.check import check
from projections.world.connecting import WorldUnavailable, connect
from projections.world.role import WorldRole
from schemas.envelope import Event

KEEP_S = 10**9.0
WITHIN_S = 40.0


async def log_of(events: list[Event]) -> MemoryLog:
    log = MemoryLog()
    await more(log, events)
    return log


async def more(log: MemoryLog, events: list[Event]) -> None:
    for event in events:
        await log.append([msgspec.structs.replace(event, sequence=0, index=0)])


@asynccontextmanager
async def running(log: MemoryLog, url: str, **options: Any) -> AsyncIterator[WorldRole]:
    """A role at work; what it fails with is raised."""
    async with connect(url, patience_s=options.pop("patience_s", 5.0)) as client:
        role = WorldRole(log, client, **{"keep_s": KEEP_S, "lock_s": 0.5, "retry_s": 0.05, **options})
        ready = asyncio.Event()
        task = asyncio.create_task(role.run(ready))
        await ready.wait()
        try:
            yield role
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Coroutine[Any, Any, bool]], what: str) -> None:
    """Wait for a condition; while Redis is away it does not hold."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                if await true():
                    return
            except WorldUnavailable:
                pass
            await asyncio.sleep(0.02)
    raise AssertionError(what)


async def level(role: WorldRole, log: MemoryLog) -> None:
    """Wait until the store has all of the log."""

    async def true() -> bool:
        return await role.position() == await log.last_sequence()

    await until(true, "the model reaches the end of the log")


async def sound(redis: Any, log: MemoryLog) -> None:
    report = await check(redis, log, keep_s=KEEP_S)
    assert report.sound, report.differences
    assert report.parts > 10
