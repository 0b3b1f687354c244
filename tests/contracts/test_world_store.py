"""What the world's store keeps to, on a real Valkey and on its fake: it is always the pure fold up to its position."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

import msgspec
import pytest
from fakeredis import FakeAsyncRedis
from hypothesis import given, settings
from hypothesis import strategies as st

from events.memory import MemoryLog
from events.port import Batch
from projections.world.connecting import WorldUnavailable
from projections.world.keys import PARTS, Keys
from projections.world.store import Fenced, StoreMoved
from schemas.envelope import Event, rfc3339
from tests.contracts.world_bench import Watched, batches, check_equal, opened, stored, writer_of
from tests.core.world_events import mixed

pytestmark = pytest.mark.timeout(60)
EVENTS = mixed(5)
HISTORIES = [mixed(seed, missions=2) for seed in range(3)]


@pytest.fixture(params=["fake", "valkey"])
def redis(request: pytest.FixtureRequest) -> Watched:
    return Watched(request.getfixturevalue(request.param))


@pytest.mark.parametrize("seed", range(4))
async def test_any_cut_into_batches_gives_the_same_world(redis: Any, seed: int) -> None:
    events = mixed(seed)
    store = await opened(redis, epoch=1)
    writer = await writer_of(store, MemoryLog(), 1)
    cuts = Random(seed).sample(range(len(events)), 9)
    for batch in batches(events, cuts):
        await writer.take(batch)
    await check_equal(store, events)
    assert (await store.state()).position == len(events)
    redis.check_slots()


@given(st.sampled_from(range(3)), st.lists(st.integers(1, 200), max_size=12), st.integers(0, 2**32), st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_cut_and_any_crash_give_the_pure_fold(seed: int, cuts: list[int], chaos: int, late: bool) -> None:
    """The same as a property: cut anywhere, broken anywhere, before or after a call took effect."""

    async def play() -> None:
        events, redis = HISTORIES[seed], Watched(FakeAsyncRedis(), when="after" if late else "before")
        store: Any = await opened(cast("Any", redis), epoch=1)
        rng = Random(chaos)
        while (await store.state()).position < len(events):
            redis.chaos = rng
            with suppress(WorldUnavailable):
                writer = await writer_of(store, MemoryLog(), 1)
                rest = [event for event in events if event.sequence > writer.position]
                for batch in batches(rest, [cut - writer.position for cut in cuts]):
                    await writer.take(batch)
            redis.chaos = None
        await check_equal(store, events)
        await redis.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("seed", range(3))
async def test_a_writer_killed_anywhere_is_followed_by_one_that_loses_nothing(redis: Any, when: str, seed: int) -> None:
    """Each fifth script call or so breaks, before it took effect or after; a new writer goes on each time."""
    rng = Random(seed)
    cuts = rng.sample(range(1, len(EVENTS)), 12)
    store = await opened(redis, epoch=1)
    redis.when, deaths = when, 0
    while (await store.state()).position < len(EVENTS):
        redis.chaos = rng
        try:
            writer = await writer_of(store, MemoryLog(), 1)
            rest = [event for event in EVENTS if event.sequence > writer.position]
            for batch in batches(rest, [cut - writer.position for cut in cuts]):
                await writer.take(batch)
        except WorldUnavailable:
            deaths += 1
        redis.chaos = None
        state = await store.state()
        reached = {tenant: await store.position_of(Keys(tenant, state.generation)) or 0 for tenant in ("t0", "t1")}
        assert all(position >= state.tenants.get(tenant, 0) for tenant, position in reached.items())
        await check_equal(store, [event for event in EVENTS if event.sequence <= reached[event.tenant]])
    assert deaths > 2
    await check_equal(store, EVENTS)


async def test_a_stale_writer_is_refused_and_harms_nothing(redis: Any) -> None:
    first, second = batches(EVENTS, [len(EVENTS) // 2])
    store = await opened(redis, epoch=1)
    stale = await writer_of(store, MemoryLog(), 1)
    await stale.take(first)
    store = await opened(redis, epoch=2)
    fresh = await writer_of(store, MemoryLog(), 2)
    await fresh.take(second)
    with pytest.raises((Fenced, StoreMoved)):
        await stale.take(second)
    with pytest.raises(Fenced):
        await store.record(1, (await store.state()).generation, {"position": 3})
    await check_equal(store, EVENTS)


async def test_two_writers_at_once_give_one_world(redis: Any) -> None:
    store = await opened(redis, epoch=1)
    parts = batches(EVENTS, list(range(0, len(EVENTS), 10)))

    async def write(epoch: int) -> int:
        refused = 0
        while True:
            writer = await writer_of(store, MemoryLog(), epoch)
            rest = [part for part in parts if part.last > writer.position]
            if not rest:
                return refused
            try:
                for part in rest:
                    await writer.take(part)
                    await asyncio.sleep(0)
            except Fenced:
                return refused + 1
            except StoreMoved:
                refused += 1

    refused = await asyncio.gather(write(1), write(1), write(2))
    assert sum(refused) > 0
    writer = await writer_of(store, MemoryLog(), 3)
    for part in parts:
        if part.last > writer.position:
            await writer.take(part)
    await check_equal(store, EVENTS)


async def test_a_store_that_was_emptied_is_noticed(redis: Any) -> None:
    first, second = batches(EVENTS, [len(EVENTS) // 2])
    store = await opened(redis, epoch=1)
    writer = await writer_of(store, MemoryLog(), 1)
    await writer.take(first)
    await redis.flushdb()
    with pytest.raises(StoreMoved):
        await writer.take(second)
    assert (await store.state()).generation == 0


async def test_a_tenant_whose_server_lost_its_newest_writes_is_read_again(redis: Any) -> None:
    """As when one node of a cluster comes back from an older file."""
    first, second = batches(EVENTS, [len(EVENTS) // 2])
    store = await opened(redis, epoch=1)
    writer = await writer_of(store, MemoryLog(), 1)
    await writer.take(first)
    generation = (await store.state()).generation
    kept = {key: await redis.dump(key) for key in await redis.keys(f"stig:{{t0}}:w{generation}:*")}
    await writer.take(second)
    await redis.delete(*await redis.keys("stig:{t0}:*"))
    for key, content in kept.items():
        await redis.restore(key, 0, content)
    resumed = await writer_of(store, MemoryLog(), 1)
    assert resumed.position == first.last
    await resumed.take(second)
    await check_equal(store, EVENTS)


async def test_tenants_share_no_key(redis: Any) -> None:
    store = await opened(redis, epoch=1)
    writer = await writer_of(store, MemoryLog(), 1)
    await writer.take(batches(EVENTS, [])[0])
    generation = (await store.state()).generation
    for key in await redis.keys(f"*w{generation}:*"):
        assert sum(f"{{{tenant}}}" in key.decode() for tenant in ("t0", "t1")) == 1
    foreign = {event.mission for event in EVENTS if event.tenant == "t1"}
    assert not (await stored(store, "t0", sorted(foreign))).missions


# what expires


def _lasting(mission: str, ended: datetime | None, number: int) -> list[Event]:
    """A mission of one task, which ended then, or has not."""
    said: list[tuple[str, dict[str, Any]]] = [
        ("mission.submitted", {"objective": "o", "workflow": "w"}),
        ("mission.planned", {"plan": {"tasks": [{"id": "a", "skill": "s"}]}, "planned_at": "2026-01-01T00:00:00Z"}),
    ]
    if ended is not None:
        said.append(("mission.failed", {"failure": {"code": "c", "message": "m"}}))
    at = rfc3339(ended or datetime(2026, 1, 1, tzinfo=UTC))
    return [
        Event(
            id=f"{mission}-{place}",
            source="/",
            type=kind,
            time=at,
            tenant="t",
            mission=mission,
            sequence=number + place,
            data=msgspec.Raw(msgspec.json.encode(data)),
        )
        for place, (kind, data) in enumerate(said)
    ]


def _batch(events: list[Event]) -> Batch:
    return Batch(tuple(events), events[-1].sequence)


async def test_missions_that_ended_expire_and_open_ones_do_not(redis: Any) -> None:
    store = await opened(redis, epoch=1, keep_s=100.0)
    writer = await writer_of(store, MemoryLog(), 1)
    now = datetime.now(UTC)
    await writer.take(_batch(_lasting("open", None, 1)))
    await writer.take(_batch(_lasting("fresh", now - timedelta(seconds=10), 10)))
    await writer.take(_batch(_lasting("old", now - timedelta(seconds=200), 20)))
    keys = Keys("t", writer.generation)
    assert await redis.ttl(keys.mission("open")) == -1
    for key in (keys.mission("fresh"), keys.part("tasks", "fresh")):
        assert 0 < await redis.ttl(key) <= 90
    assert await store.mission(keys, "old") is None
    assert {name.decode() for name in await redis.zrange(keys.missions, 0, -1)} == {"open", "fresh"}
    everything = {keys.mission("fresh"), *(keys.part(part, "fresh") for part in PARTS)}
    assert {await redis.ttl(key) for key in everything} <= {*range(80, 91), -2}, "with or without content, none stays"


@pytest.mark.parametrize("expired", [False, True])
async def test_a_mission_that_is_reopened_is_whole_again(redis: Any, expired: bool) -> None:
    log = MemoryLog()
    ended = datetime.now(UTC) - timedelta(seconds=200 if expired else 10)
    events = _lasting("m", ended, 1)
    await log.append([msgspec.structs.replace(event, sequence=0) for event in events])
    store = await opened(redis, epoch=1, keep_s=100.0)
    await (await writer_of(store, log, 1)).take(_batch(events))
    writer = await writer_of(store, log, 1)  # another one, that has nothing at hand
    again = msgspec.structs.replace(
        events[0], id="again", type="mission.reopened", sequence=9, data=msgspec.Raw(b'{"tasks": ["a"]}')
    )
    await writer.take(_batch([again]))
    keys = Keys("t", writer.generation)
    found = await store.mission(keys, "m")
    assert found is not None
    assert (found.state.status, found.state.tasks, list(found.tasks)) == ("running", {"planned": 1}, ["a"])
    assert await redis.ttl(keys.mission("m")) == -1
    assert await redis.ttl(keys.part("tasks", "m")) == -1


async def test_a_large_plan_fits_into_one_call(redis: Any) -> None:
    """Lua passes some thousands of arguments at most: they are portioned."""
    tasks = [{"id": f"t{number}", "skill": "s"} for number in range(6000)]
    submitted, planned = _lasting("m", None, 1)
    plan = {"plan": {"tasks": tasks}, "planned_at": "2026-01-01T00:00:00Z"}
    planned = msgspec.structs.replace(planned, data=msgspec.Raw(msgspec.json.encode(plan)))
    store = await opened(redis, epoch=1)
    writer = await writer_of(store, MemoryLog(), 1)
    begun = time.monotonic()
    await writer.take(_batch([submitted, planned]))
    assert await redis.hlen(Keys("t", writer.generation).part("tasks", "m")) == 6000
    assert time.monotonic() - begun < 30
