"""Followers of one stream share their way through it: all get everything, in order, and it is fetched once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from events.jetstream.shared_reading import SharedReading
from events.port import Stored
from schemas.errors import LogUnavailable

PATIENCE_S = 30.0


class Stream:
    """A stream of numbered messages that counts how often each was fetched."""

    def __init__(self, last: int, size: int = 10, fails_at: int | None = None) -> None:
        self.last, self.size, self.fails_at = last, size, fails_at
        self.fetched: list[int] = []
        self.ways = self.open = 0
        self.news = asyncio.Event()
        self.grows_when_left: int | None = None

    async def read(self, first: int) -> AsyncGenerator[list[Stored]]:
        self.ways += 1
        self.open += 1
        try:
            while True:
                await asyncio.sleep(0)
                if self.fails_at is not None and first >= self.fails_at:
                    self.fails_at = None
                    raise LogUnavailable("the server went away")
                if first > self.last:
                    self.news.clear()
                    await self.news.wait()
                    continue
                until = min(first + 4, self.last)
                self.fetched += range(first, until + 1)
                yield [Stored(n, "events.a.m.n.v", bytes(self.size)) for n in range(first, until + 1)]
                first = until + 1
        finally:
            if self.grows_when_left is not None:
                self.grow(self.grows_when_left)
                for _ in range(5000):  # closing takes a while, and the others go on
                    await asyncio.sleep(0)
            self.open -= 1

    def grow(self, last: int) -> None:
        self.last = last
        self.news.set()


async def take(shared: SharedReading, first: int, last: int, seen: list[int] | None = None) -> list[int]:
    found = [] if seen is None else seen
    async with asyncio.timeout(PATIENCE_S), aclosing(shared.follow(first)) as batches:
        async for batch in batches:
            found += [each.sequence for each in batch]
            if found[-1] >= last:
                break
    return found


async def test_all_get_everything_and_it_is_fetched_once() -> None:
    stream = Stream(1000)
    shared = SharedReading(stream.read)
    results = await asyncio.gather(*(take(shared, 1, 1000) for _ in range(3)))
    assert results == [list(range(1, 1001))] * 3
    assert (sorted(stream.fetched), stream.ways, stream.open) == (list(range(1, 1001)), 1, 0)


async def test_it_goes_on_with_what_comes_later() -> None:
    stream = Stream(10)
    shared = SharedReading(stream.read)
    waiting = [asyncio.create_task(take(shared, 1, 30)) for _ in range(2)]
    for last in range(11, 31):
        await asyncio.sleep(0.001)
        stream.grow(last)
    assert await asyncio.gather(*waiting) == [list(range(1, 31))] * 2
    assert sorted(stream.fetched) == list(range(1, 31))


async def test_what_one_made_of_a_message_the_next_one_finds_and_then_it_goes() -> None:
    shared = SharedReading(Stream(20).read)
    async with aclosing(shared.follow(1)) as one, aclosing(shared.follow(1)) as two:
        first = await anext(one)
        first[0].notes["made"] = "dear"
        same = await anext(two)
        assert same[0] is first[0]
        assert same[0].notes == {"made": "dear"}
        await anext(one)
        await anext(two)  # both have left the first batch behind
        assert first[0].notes == {}


async def follow_slowly(shared: SharedReading, first: int, last: int) -> list[int]:
    """With some work for each batch, as much for everybody."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(shared.follow(first)) as batches:
        async for batch in batches:
            found += [each.sequence for each in batch]
            if found[-1] >= last:
                break
            await asyncio.sleep(0.0005)
    return found


@pytest.mark.parametrize("meeting_s", [0.0, 20.0])
async def test_who_begins_a_little_later_is_waited_for_and_joins(meeting_s: float) -> None:
    stream = Stream(8_000, size=1000)
    shared = SharedReading(stream.read, most=100_000, meeting_s=meeting_s)
    early = asyncio.create_task(follow_slowly(shared, 1, 8_000))
    while len(stream.fetched) < 1000:
        await asyncio.sleep(0.001)
    late = asyncio.create_task(follow_slowly(shared, 1, 8_000))
    assert await asyncio.gather(early, late) == [list(range(1, 8_001))] * 2
    if meeting_s:
        assert len(stream.fetched) < 9_500, "what both want is fetched once"
    else:
        assert len(stream.fetched) > 14_000, "they never meet by themselves"


async def test_who_is_ahead_lets_the_others_come() -> None:
    stream = Stream(8_000, size=1000)
    shared = SharedReading(stream.read, most=100_000, meeting_s=20.0)
    behind = asyncio.create_task(follow_slowly(shared, 1, 8_000))
    while not stream.fetched:
        await asyncio.sleep(0)
    ahead = asyncio.create_task(follow_slowly(shared, 2000, 8_000))
    assert await asyncio.gather(behind, ahead) == [list(range(1, 8_001)), list(range(2000, 8_001))]
    assert len(stream.fetched) < 9_500


async def test_nobody_waits_for_one_that_stands_still_or_is_far_behind() -> None:
    stream = Stream(20_000, size=1000)
    shared = SharedReading(stream.read, most=100_000, meeting_s=0.3)
    quick: list[int] = []
    first = asyncio.create_task(take(shared, 1, 10_000, quick))
    while len(quick) < 2000:
        await asyncio.sleep(0)
    async with aclosing(shared.follow(1)) as still:
        await anext(still)  # reads by itself, and takes no more
        begun = asyncio.get_running_loop().time()
        await first
        assert asyncio.get_running_loop().time() - begun < 10


async def test_the_quick_wait_for_the_slow_within_the_bound() -> None:
    stream = Stream(1000, size=1000)
    shared = SharedReading(stream.read, most=50_000, patience_s=60)
    seen: list[int] = []
    async with aclosing(shared.follow(1)) as slow:
        await anext(slow)
        quick = asyncio.create_task(take(shared, 1, 1000, seen))
        async with asyncio.timeout(PATIENCE_S):
            while not seen or seen[-1] < 50:
                await asyncio.sleep(0.001)
        for _ in range(200):  # it gets no farther, however often it may try
            await asyncio.sleep(0)
        assert seen[-1] <= 60
        async with asyncio.timeout(PATIENCE_S):
            async for batch in slow:
                if batch[-1].sequence == 1000:
                    break
        assert await quick == list(range(1, 1001))
    assert stream.ways == 1


async def test_who_takes_nothing_for_long_is_left_behind_and_joins_again() -> None:
    stream = Stream(400, size=1000)
    shared = SharedReading(stream.read, most=50_000, patience_s=0.05)
    async with aclosing(shared.follow(1)) as stuck:
        found = [each.sequence for each in await anext(stuck)]
        assert await take(shared, 1, 400) == list(range(1, 401))
        keeping = asyncio.create_task(take(shared, 401, 500))
        async with asyncio.timeout(PATIENCE_S):
            while found[-1] < 400:
                found += [each.sequence for each in await anext(stuck)]
            stream.grow(500)
            while found[-1] < 500:
                found += [each.sequence for each in await anext(stuck)]
        assert await keeping == list(range(401, 501))
    assert found == list(range(1, 501))
    assert stream.open == 0


async def test_who_begins_far_behind_reads_by_itself_until_it_has_caught_up() -> None:
    stream = Stream(5000, size=10_000)
    shared = SharedReading(stream.read)
    async with aclosing(shared.follow(4000)) as ahead:
        await anext(ahead)
        assert (await take(shared, 1, 4500))[:4500] == list(range(1, 4501))
    assert stream.ways == 2
    assert stream.open == 0
    assert stream.fetched.count(4004) == 1
    assert stream.fetched.count(3) == 1


async def test_who_joins_misses_nothing_of_what_the_others_take_while_it_closes_its_own_way() -> None:
    stream = Stream(1100, size=1000)
    shared = SharedReading(stream.read, most=50_000, patience_s=60)
    ahead = asyncio.create_task(take(shared, 1001, 3000))
    while stream.fetched[-1:] != [1100]:
        await asyncio.sleep(0)
    stream.grows_when_left = 3000
    assert await take(shared, 1, 3000) == list(range(1, 3001))
    assert await ahead == list(range(1001, 3001))


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    stream = Stream(10)
    shared = SharedReading(stream.read)
    leaving = asyncio.create_task(take(shared, 1, 100))
    staying = asyncio.create_task(take(shared, 1, 20))
    while stream.fetched[-1:] != [10]:
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    stream.grow(20)
    assert await staying == list(range(1, 21))
    assert stream.ways == 1


async def test_an_error_reaches_all_and_the_next_try_goes_on() -> None:
    stream = Stream(100, fails_at=41)
    shared = SharedReading(stream.read)
    results = await asyncio.gather(take(shared, 1, 100), take(shared, 1, 100), return_exceptions=True)
    assert all(isinstance(each, LogUnavailable) for each in results)
    assert await take(shared, 1, 100) == list(range(1, 101))


@pytest.mark.parametrize("first", [1, 7, 98])
async def test_one_alone_reads_from_where_it_wants(first: int) -> None:
    assert await take(SharedReading(Stream(100).read), first, 100) == list(range(first, 101))
