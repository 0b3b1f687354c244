"""Questions to the world model on a real Valkey: typed, in bulk, waiting, over NATS, from a cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from events.memory import MemoryLog
from events.services import NatsServices
from projections.world.cache import CachedWorld
from projections.world.connecting import WorldUnavailable, connect
from projections.world.queries import Query, WorldView
from projections.world.reader import WorldReader
from projections.world.remote import RemoteWorld
from projections.world.role import WorldRole
from schemas.errors import InvalidInput, TimedOut
from stigmergy.local.ephemeral import ThrowAwayServer, valkey_server
from tests.core.world_events import Story, tree
from tests.integration.world_roles import WITHIN_S, level, log_of, more, running, until

pytestmark = pytest.mark.timeout(120)
A, B = tree(1), tree(2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with valkey_server(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture
async def redis(server: ThrowAwayServer) -> AsyncIterator[Any]:
    async with connect(server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def told(redis: Any, server: ThrowAwayServer) -> AsyncIterator[tuple[Story, MemoryLog, WorldRole]]:
    """A story in the store, and the role that keeps it there."""
    story = Story("one", "two", "three")
    story.write("one", "0" * 40, A, {"src/a.py": "added", "b.py": "added"})
    story.write("two", A, B, {"b.py": "deleted"})
    story.begin("three", B, patterns=("src/*",))
    log = await log_of(story.events)
    async with running(log, server.url) as role:
        await level(role, log)
        yield story, log, role


async def test_typed_questions(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    story, log, _ = told
    world = WorldView(WorldReader(redis, "t"))
    end = await log.last_sequence()
    assert await world.position() == end
    assert (await world.mission("m")).value == story.known.state
    assert (await world.mission("nobody")).value is None
    assert [task.id for task in (await world.tasks("m")).value] == ["one", "three", "two"]
    assert [task.id for task in (await world.tasks("m", "two", "nobody", "one")).value] == ["two", "one"]
    assert [task.id for task in (await world.tasks("m", status="running")).value] == ["three"]
    assert (await world.task("m", "one")).value == story.known.tasks["one"]
    [a] = (await world.files("m")).value
    assert (a.path, a.tree, a.content, a.task, a.claimed_by) == ("src/a.py", A, f"src/a.py@{A}", "one", ("three",))
    assert [file.path for file in (await world.files("m", tree=A)).value] == ["b.py", "src/a.py"]
    assert [file.path for file in (await world.files("m", prefix="src/")).value] == ["src/a.py"]
    deleted = (await world.file("m", "b.py")).value
    assert deleted is not None
    assert (deleted.change, deleted.writes) == ("deleted", 2)
    assert [made.id for made in (await world.trees("m")).value] == [A, B]
    assert [agent.status.value for agent in (await world.agents()).value] == ["executing"]
    summary = (await world.summary()).value
    assert (summary.missions, summary.agents) == ({"running": 1}, {"executing": 1})
    assert summary.tasks == {"succeeded": 2, "running": 1}
    assert (await world.missions()).position == end
    with pytest.raises(InvalidInput, match="belong to a mission"):
        await world._asking.ask(Query("tasks"))


async def test_bulk_reads_beyond_what_lua_passes_on(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    world = WorldView(WorldReader(redis, "t"))
    names = [f"n{number}" for number in range(9000)]
    assert [task.id for task in (await world.tasks("m", *names, "one")).value] == ["one"]
    assert [mission.id for mission in (await world.missions(*names[:3000], "m")).value] == ["m"]


async def test_waiting_for_an_event(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    story, log, _ = told
    world = WorldView(WorldReader(redis, "t"))
    end = await log.last_sequence()
    with pytest.raises(TimedOut, match="did not reach"):
        await world.task("m", "one", at_least=end + 1, timeout_s=0.05)
    waiting = asyncio.create_task(world.task("m", "three", at_least=end + 1, timeout_s=WITHIN_S))
    before = len(story.events)
    story.finish("three", B, {})
    await more(log, story.events[before:])
    answer = await waiting
    assert answer.position >= end + 1
    assert answer.value == story.known.tasks["three"]
    foreign = msgspec.structs.replace(story.events[0], id="f", tenant="other", mission="x")
    await more(log, [foreign])  # of another tenant: reached all the same
    assert (await world.mission("m", at_least=end + 2, timeout_s=WITHIN_S)).position >= end + 2


async def test_an_unknown_tenant_and_an_empty_store(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    nobody = WorldView(WorldReader(redis, "nobody"))
    assert (await nobody.missions()).value == ()
    assert (await nobody.tasks("m")).value == ()
    assert (await nobody.summary()).value.missions == {}
    assert (await nobody.files("m")).value == ()


async def test_an_empty_store_says_so(redis: Any) -> None:
    with pytest.raises(WorldUnavailable, match="empty"):
        await WorldView(WorldReader(redis, "t")).missions()


async def test_a_reader_follows_the_switch_of_generations(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    story, _, role = told
    reader = WorldReader(redis, "t")
    world = WorldView(reader)
    await world.mission("m")
    await role.rebuild(None, lambda *_: None)
    assert (await world.mission("m")).value == story.known.state
    assert reader.keys.generation == 2


async def test_asked_over_nats(redis: Any, server: ThrowAwayServer, nats: Client) -> None:
    story = Story("one", tenant="acme")
    story.write("one", "0" * 40, A, {"src/a.py": "added"})
    log = await log_of(story.events)
    services = NatsServices(nats)
    async with running(log, server.url, services=services) as role:
        await level(role, log)
        world = WorldView(RemoteWorld(services, "acme"))
        answer = await world.files("m", at_least=await log.last_sequence())
        assert [(file.path, file.task) for file in answer.value] == [("src/a.py", "one")]
        assert (await world.mission("m")).value == story.known.state
        assert (await WorldView(RemoteWorld(services, "evil")).mission("m")).value is None
        with pytest.raises(TimedOut):
            await world.position(at_least=10**6, timeout_s=0.05)
        question = b'{"about": "tasks", "mission": "m"}'
        raw = b"".join([part async for part in services.ask("acme", "world.query", question)])
        [task] = msgspec.json.decode(raw)["value"]
        assert (task["id"], task["status"]) == ("one", "succeeded")
        for wrong in (b"no", b"[]", b'{"about": "everything"}', b'{"about": "tasks", "who": 1}'):
            with pytest.raises(InvalidInput, match="not a question"):
                await anext(services.ask("acme", "world.query", wrong))


# the cache


async def test_the_cache_answers_from_memory_until_the_writer_tells(
    told: tuple[Story, MemoryLog, WorldRole], redis: Any
) -> None:
    story, log, _ = told
    async with CachedWorld(redis, "t", stale_s=30.0) as cache:
        await until(lambda: _follows(cache), "the cache follows")
        world = WorldView(cache)
        first = await world.task("m", "three")
        assert await world.task("m", "three") == first
        assert (cache.hits, cache.misses) == (1, 1)
        await world.agents()
        before = len(story.events)
        story.finish("three", B, {})
        await more(log, story.events[before:])
        end = await log.last_sequence()
        await until(lambda: _is_at(cache, end), "the message comes")
        answer = await world.task("m", "three")
        assert answer.value == story.known.tasks["three"]
        assert answer.position == end
        assert (await world.agents()).value[0].running == ()
        assert (cache.hits, cache.misses) == (1, 4)


async def test_a_lost_message_is_found_out(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    story, log, role = told
    async with CachedWorld(redis, "t", stale_s=0.3) as cache:
        await until(lambda: _follows(cache), "the cache follows")
        world = WorldView(cache)
        await world.task("m", "three")
        cache._hear = lambda words: None  # type: ignore[method-assign]  # nothing arrives any more
        before = len(story.events)
        story.finish("three", B, {})
        await more(log, story.events[before:])
        await level(role, log)

        async def fresh() -> bool:
            return (await world.task("m", "three")).value == story.known.tasks["three"]

        await until(fresh, "staleness is bounded")


async def test_the_cache_forgets_when_redis_is_emptied(told: tuple[Story, MemoryLog, WorldRole], redis: Any) -> None:
    story, log, role = told
    async with CachedWorld(redis, "t", stale_s=0.3) as cache:
        await until(lambda: _follows(cache), "the cache follows")
        world = WorldView(cache)
        await world.mission("m")
        await redis.flushall()
        await level(role, log)

        async def right() -> bool:
            return (await world.mission("m")).value == story.known.state and await _follows(cache)

        await until(right, "the cache is right again")


async def _follows(cache: CachedWorld) -> bool:
    return cache._position >= 0


async def _is_at(cache: CachedWorld, end: int) -> bool:
    return cache._position >= end
