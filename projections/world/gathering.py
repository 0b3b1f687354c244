"""Batches made larger by waiting a little: a chain of tasks writes its events one by one, and each batch costs two
calls to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from events.port import Batch

_MOST_WAITING = 4000


async def gathered(batches: AsyncIterator[Batch], *, linger_s: float, most: int) -> AsyncIterator[Batch]:
    """The same events in batches of about ``most`` at most; each waits ``linger_s`` seconds for company.

    What the source raises is raised here. Reading ahead stops while some thousands of events wait.
    """
    waiting: list[Batch] = []
    news, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with aclosing(batches) as coming:  # type: ignore[type-var]
            async for batch in coming:
                waiting.append(batch)
                news.set()
                if sum(len(one.events) for one in waiting) >= _MOST_WAITING:
                    room.clear()
                    await room.wait()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: news.set())
    try:
        while True:
            await news.wait()
            await asyncio.sleep(linger_s)
            news.clear()
            while waiting:
                yield _first(waiting, most)
                room.set()
            if reading.done() and not waiting:
                reading.result()
                return
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _first(waiting: list[Batch], most: int) -> Batch:
    """The oldest batches as one; a batch itself is never cut, for it may end in the middle of a message."""
    taken, count = 0, 0
    for batch in waiting:
        if taken and count + len(batch.events) > most:
            break
        taken, count = taken + 1, count + len(batch.events)
    together = waiting[:taken]
    del waiting[:taken]
    return Batch(tuple(event for batch in together for event in batch.events), together[-1].last)
