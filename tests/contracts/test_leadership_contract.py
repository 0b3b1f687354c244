"""What leadership needs of a store, and what a group makes of it: in memory and on NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from nats.aio.client import Client

from events.leadership.group import Group, Taken
from events.leadership.jetstream import JetStreamKeys
from events.leadership.memory import MemoryKeys
from events.leadership.port import Entry, Keys, Put
from events.leadership.seat import Seat
from schemas.errors import Conflict, InvalidInput, StigmergyError

LEASE_S = 1.2
PARTS = 8


@pytest.fixture
def memory_keys() -> Keys:
    return MemoryKeys()


@pytest.fixture
async def jetstream_keys(nats: Client) -> Keys:
    made = JetStreamKeys(nats)
    await made.open()
    await made.open()  # it is there already
    return made


@pytest.fixture(params=["memory", "jetstream"])
def keys(request: pytest.FixtureRequest) -> Keys:
    """A store of each kind, empty."""
    made: Keys = request.getfixturevalue(f"{request.param}_keys")
    return made


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


# keys


async def written(keys: Keys, *writes: Put) -> list[int]:
    done = await keys.put(writes)
    assert all(isinstance(one, int) for one in done), done
    return [one for one in done if isinstance(one, int)]


async def test_a_key_is_written_once_for_each_revision(keys: Keys) -> None:
    [first] = await written(keys, Put("g.a", b"1", 0))
    [second] = await written(keys, Put("g.a", b"2", first))
    assert second > first
    again = await keys.put([Put("g.a", b"3", first), Put("g.a", b"3", 0), Put("g.b", b"1", second)])
    assert [type(one) for one in again] == [Conflict, Conflict, Conflict]
    assert await keys.get("g.a") == Entry("g.a", b"2", second)
    assert await keys.get("g.b") is None


async def test_of_many_who_write_at_once_one_wins(keys: Keys) -> None:
    done: list[int | StigmergyError] = []
    for answers in await asyncio.gather(*(keys.put([Put("g.seat", b"%d" % n, 0, 60)]) for n in range(8))):
        done += answers
    assert sum(isinstance(one, int) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 7


async def test_a_watch_begins_with_what_there_is_and_goes_on(keys: Keys) -> None:
    await written(keys, Put("g.a", b"1", 0), Put("g.b", b"1", 0), Put("other.a", b"x", 0))
    watching = aiter(keys.watch("g"))
    assert sorted(entry.key for entry in await anext(watching)) == ["g.a", "g.b"]
    seen = await keys.get("g.a")
    assert seen is not None
    [revision] = await written(keys, Put("g.a", b"2", seen.revision))
    assert await asyncio.wait_for(anext(watching), 10) == [Entry("g.a", b"2", revision)]
    await watching.aclose()  # type: ignore[attr-defined]


async def test_a_watch_of_nothing_begins_with_nothing(keys: Keys) -> None:
    watching = aiter(keys.watch("g"))
    assert await asyncio.wait_for(anext(watching), 10) == []
    await watching.aclose()  # type: ignore[attr-defined]


# groups


class Deaf:
    """Keys that can be cut off, as by a network or a process that sleeps."""

    def __init__(self, inner: Keys) -> None:
        self.inner = inner
        self.cut = asyncio.Event()
        self.there = asyncio.Event()
        self.there.set()

    async def open(self) -> None:
        await self.inner.open()

    async def put(self, writes: list[Put]) -> list[int | StigmergyError]:
        await self.there.wait()
        return await self.inner.put(writes)

    async def get(self, key: str) -> Entry | None:
        await self.there.wait()
        return await self.inner.get(key)

    async def watch(self, group: str) -> AsyncIterator[list[Entry]]:
        async for entries in self.inner.watch(group):
            await self.there.wait()
            yield entries


class Member:
    """A member, and what it was told."""

    def __init__(self, keys: Keys, who: str, everybody: list[Member], *, partitions: int = PARTS) -> None:
        self.keys = Deaf(keys)
        self.group = Group(self.keys, "test", who, partitions=partitions, lease_s=LEASE_S)  # type: ignore[arg-type]
        self.prepared: set[int] = set()
        self.leads: set[int] = set()
        self.whys: list[str] = []
        self.lapses = self.resumes = 0
        self._everybody = everybody
        everybody.append(self)

    async def prepare(self, parts: frozenset[int]) -> None:
        self.prepared |= parts

    async def take(self, taken: Taken) -> None:
        assert set(taken.terms) <= self.prepared
        for part in taken.terms:
            others = [one.group.who for one in self._everybody if one is not self and one.group.holds(part)]
            assert not others, f"{part} is led by {others}, too"
        self.leads |= set(taken.terms)
        self.whys.append(taken.why)

    def lapse(self) -> None:
        self.lapses += 1

    async def resume(self) -> None:
        self.resumes += 1

    async def give(self, parts: frozenset[int]) -> None:
        assert not any(self.group.holds(part) for part in parts)
        self.prepared -= parts
        self.leads -= parts

    @property
    def has(self) -> int:
        return sum(self.group.holds(part) for part in range(PARTS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        ready = asyncio.Event()
        task = asyncio.create_task(self.group.run(self, ready))
        try:
            await asyncio.wait({task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_one_alone_leads_all_at_once(keys: Keys) -> None:
    alone = Member(keys, "a", [])
    async with alone.running():
        assert alone.leads == set(range(PARTS))
        assert alone.has == PARTS
        assert alone.whys == [""]
    assert alone.leads == set()
    again = Member(keys, "b", [])
    async with again.running():
        assert again.has == PARTS
        assert again.whys == ["a has left"]


async def test_who_joins_gets_a_share_and_who_leaves_gives_it_back(keys: Keys) -> None:
    all_: list[Member] = []
    a, b, c = (Member(keys, name, all_) for name in "abc")
    async with a.running():
        async with b.running():
            await until(lambda: (a.has, b.has) == (4, 4))
            assert b.whys[-1] == "b joined"
            async with c.running():
                await until(lambda: sorted((a.has, b.has, c.has)) == [2, 3, 3])
                assert len(a.leads | b.leads | c.leads) == PARTS
            await until(lambda: (a.has, b.has) == (4, 4))
        await until(lambda: a.has == PARTS)
        assert a.whys[-1] == "b has left"


async def test_who_falls_silent_is_followed_and_notices_before(keys: Keys) -> None:
    all_: list[Member] = []
    a, b = (Member(keys, name, all_) for name in "ab")
    async with a.running(), b.running():
        await until(lambda: (a.has, b.has) == (4, 4))
        loop = asyncio.get_running_loop()
        b.keys.there.clear()
        began = loop.time()
        await until(lambda: b.has == 0)
        assert a.has == 4  # it pauses before another one begins: ``take`` looks whether it does
        await until(lambda: a.has == PARTS)
        print(f"taken over after {loop.time() - began:.2f} s with a lease of {LEASE_S} s")
        assert b.lapses == 1
        assert "b fell silent" in a.whys[-1]
        b.keys.there.set()
        await until(lambda: (a.has, b.has) == (4, 4))  # it joins again as anybody would
        assert b.resumes == 0


async def test_who_is_cut_off_alone_goes_on_where_it_was(keys: Keys) -> None:
    alone = Member(keys, "a", [])
    async with alone.running():
        alone.keys.there.clear()
        await until(lambda: alone.lapses == 1)
        assert alone.has == 0
        alone.keys.there.set()
        await until(lambda: alone.has == PARTS)
        assert alone.resumes == 1
        assert alone.whys == [""]  # nothing was taken anew


async def test_when_all_are_cut_off_nobody_is_called_silent(keys: Keys) -> None:
    all_: list[Member] = []
    a, b = (Member(keys, name, all_) for name in "ab")
    async with a.running(), b.running():
        await until(lambda: (a.has, b.has) == (4, 4))
        for one in (a, b):
            one.keys.there.clear()
        await until(lambda: a.lapses == b.lapses == 1)
        await asyncio.sleep(2 * LEASE_S)
        for one in (a, b):
            one.keys.there.set()
        await until(lambda: (a.has, b.has) == (4, 4))
        assert (a.resumes, b.resumes) == (1, 1)
        assert not any("silent" in why for why in a.whys + b.whys)


async def test_many_that_come_at_once_share_evenly(keys: Keys) -> None:
    all_: list[Member] = []
    members = [Member(keys, f"m{n}", all_) for n in range(5)]
    async with AsyncExitStack() as closing:
        await asyncio.gather(*(closing.enter_async_context(one.running()) for one in members))
        await until(lambda: sorted(one.has for one in members) == [1, 1, 2, 2, 2])


async def test_another_number_of_partitions_is_refused_while_others_are_there(keys: Keys) -> None:
    a, b = Member(keys, "a", []), Member(keys, "b", [], partitions=PARTS * 2)
    async with a.running():
        with pytest.raises(
            InvalidInput, match="a and others divide missions into 8 partitions, not into 16"
        ) as refusal:
            await b.group.run(b)
        assert "STIGMERGY_PARTITIONS=8" in refusal.value.hint
    async with b.running():  # nobody is left who could disagree
        assert len(b.leads) == 2 * PARTS


# seats


async def test_a_seat_is_held_by_one_and_handed_on(keys: Keys) -> None:
    terms: list[tuple[str, int]] = []
    holders: set[str] = set()

    def contender(who: str) -> asyncio.Task[None]:
        async def work(taken: Taken) -> None:
            assert not holders
            holders.add(who)
            terms.append((who, taken.terms[0]))
            try:
                await asyncio.Event().wait()
            finally:
                holders.discard(who)

        return asyncio.create_task(Seat(keys, "guardian", who, lease_s=LEASE_S).run(work))

    first = contender("a")
    await until(lambda: len(terms) == 1)
    second = contender("b")
    await asyncio.sleep(1.5 * LEASE_S)
    assert [who for who, _ in terms] == ["a"]  # renewed, not ended
    first.cancel()
    await until(lambda: len(terms) == 2)
    (_, old), (who, new) = terms
    assert who == "b"
    assert new > old
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_work_that_fails_gives_the_seat_up(keys: Keys) -> None:
    async def fails(_taken: Taken) -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await Seat(keys, "guardian", "a", lease_s=LEASE_S).run(fails)
    held = asyncio.Event()

    async def works(_taken: Taken) -> None:
        held.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(Seat(keys, "guardian", "b", lease_s=LEASE_S).run(works))
    await asyncio.wait_for(held.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
