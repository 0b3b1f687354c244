"""Folding a part of the log that has an end: for a rebuild, and for a range that was promised and not inserted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from events.port import Log, Stored, Window
from projections.analytics.gathering import Gathering, Limits
from projections.analytics.ranges import Range, Ranges
from projections.analytics.store import Generation, Store
from projections.patience import patiently
from projections.port import Progress
from schemas.errors import Refused, StigmergyError

_SILENCE_S = 2.0


async def fold(log: Log, ranges: Ranges, limits: Limits, end: int, last: int, progress: Progress) -> None:
    """Insert everything after ``end`` up to ``last``, which the log has; the next batch is made meanwhile."""
    if end >= last:
        return
    gathering = Gathering(log, limits, end, last)
    inserting: asyncio.Task[None] | None = None

    async def insert(chosen: Gathering) -> None:
        part, rows = Range(chosen.first, chosen.last), await chosen.table()
        await patiently(lambda: asyncio.to_thread(ranges.commit, part, rows), limits.retry_s)
        progress(part.last, last)

    try:
        async with aclosing(_until(log, end + 1, last)) as messages:
            async for found in messages:
                rest: Sequence[Stored] = found
                while rest:
                    rest = await gathering.add(rest)
                    if not gathering.full:
                        break
                    if inserting is not None:
                        await inserting
                    inserting = asyncio.create_task(insert(gathering))
                    if gathering.complete:
                        break
                    gathering = Gathering(log, limits, gathering.last, last)
        if inserting is not None:
            await inserting
        if not gathering.complete:
            # What came last in the log was removed from it since: the range ends there all the same.
            gathering.last = last
            await insert(gathering)
    finally:
        if inserting is not None and not inserting.done():
            inserting.cancel()
            with suppress(asyncio.CancelledError, StigmergyError):
                await inserting


async def refuse_if_shorter(log: Log, store: Store, current: Generation) -> None:
    """Raises :class:`Refused` if the store has events of messages that the log no longer has."""
    first = 0
    async with aclosing(log.messages(Window(), batch=1)) as messages:  # type: ignore[type-var]
        if await log.last_sequence():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE_S):
                    first = (await anext(messages))[0].sequence
    if first != 1 and await asyncio.to_thread(store.holds_before, current, first or 2**62):
        raise Refused(
            f"the log begins at {first or 'nothing'} and the analytics before it: a rebuild would lose what they have",
            hint="restore the log from the archive first: stig archive restore",
        )


async def _until(log: Log, first: int, last: int) -> AsyncGenerator[list[Stored]]:
    """Messages up to ``last``; ends there, or where nothing more is there up to it."""
    reached = first - 1
    async with aclosing(log.messages(Window(first=first))) as batches:  # type: ignore[type-var]
        coming = asyncio.ensure_future(anext(batches))
        try:
            while reached < last:
                done, _ = await asyncio.wait({coming}, timeout=_SILENCE_S)
                if not done:
                    if await _nothing(log, reached + 1, last):
                        return
                    continue
                found = coming.result()
                reached = found[-1].sequence
                yield found
                coming = asyncio.ensure_future(anext(batches))
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, StigmergyError):
                await coming


async def _nothing(log: Log, first: int, last: int) -> bool:
    async for _ in log.read(Window(first=first, last=last)):
        return False
    return True
