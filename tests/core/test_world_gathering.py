"""Batches that wait for company: nothing is lost, cut, or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from events.port import Batch
from projections.world.gathering import gathered
from schemas.envelope import Event
from schemas.errors import LogUnavailable


def batch(first: int, count: int) -> Batch:
    """Events numbered from ``first``; the batch may end behind them, at events that were filtered out."""
    events = [
        Event(id=str(number), source="/", type="a.b", time="", tenant="t", sequence=number)
        for number in range(first, first + count)
    ]
    return Batch(tuple(events), first + count - 1)


async def source(*batches: Batch, then: Exception | None = None, pause: bool = False) -> AsyncIterator[Batch]:
    for one in batches:
        yield one
        if pause:
            await asyncio.sleep(0)
    if then is not None:
        raise then


async def test_what_comes_together_is_handed_on_together() -> None:
    batches = [batch(1, 2), batch(3, 1), batch(4, 1)]
    found = [one async for one in gathered(source(*batches), linger_s=0.0, most=100)]
    assert [event.sequence for one in found for event in one.events] == [1, 2, 3, 4]
    assert found[-1].last == 4
    assert len(found) == 1


async def test_batches_are_whole_and_bounded() -> None:
    batches = [batch(1, 3), batch(4, 3), batch(7, 10), batch(17, 1)]
    found = [one async for one in gathered(source(*batches), linger_s=0.0, most=6)]
    assert [len(one.events) for one in found] == [6, 10, 1]
    assert [one.last for one in found] == [6, 16, 17]


async def test_much_is_read_only_as_it_is_taken() -> None:
    read = 0

    async def many() -> AsyncIterator[Batch]:
        nonlocal read
        for number in range(20):
            read += 1
            yield batch(1 + number * 1000, 1000)

    taken = 0
    async for one in gathered(many(), linger_s=0.0, most=1000):
        taken += 1
        assert read <= taken + 5
        assert one.events[0].sequence == 1 + (taken - 1) * 1000
    assert taken == 20


async def test_a_failure_comes_after_what_was_read() -> None:
    coming = gathered(source(batch(1, 1), then=LogUnavailable("gone")), linger_s=0.0, most=10)
    assert (await anext(coming)).last == 1
    with pytest.raises(LogUnavailable, match="gone"):
        await anext(coming)


async def test_whoever_leaves_ends_the_reading() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Batch]:
        try:
            number = 0
            while True:
                number += 1
                yield batch(number, 1)
                await asyncio.sleep(0)
        finally:
            ended.set()

    coming = gathered(endless(), linger_s=0.0, most=1)
    await anext(coming)
    await coming.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        await ended.wait()
