"""The role ``world`` on a real Valkey that is emptied, restarted, stopped and late; and the questions it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from redis.asyncio import Redis

from events.memory import MemoryLog
from events.services import NatsServices
from projections.world import World, fold
from projections.world.cache import CachedWorld
from projections.world.check import check
from projections.world.connecting import WorldUnavailable, connect
from projections.world.effects import expires_at
from projections.world.keys import Keys
from projections.world.queries import Query, WorldView
from projections.world.reader import WorldReader
from projections.world.remote import RemoteWorld
from projections.world.role import WorldRole
from schemas.envelope import Event
from schemas.errors import InvalidInput, Refused, TimedOut
from stigmergy.local.ephemeral import ThrowAwayServer, valkey_server
from tests.core.world_events import Story, mixed, tree

pytestmark = pytest.mark.timeout(120)
KEEP_S = 10**9.0
WITHIN_S = 40.0
EVENTS = mixed(3)
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


# the role


async def test_it_follows_and_a_successor_goes_on(redis: Any, server: ThrowAwayServer) -> None:
    half = len(EVENTS) // 2
    log = await log_of(EVENTS[:half])
    async with running(log, server.url) as role:
        await level(role, log)
    await more(log, EVENTS[half:])
    async with running(log, server.url) as role:
        await level(role, log)
        assert (await role.store.state()).generation == 1, "nothing was folded anew"
    await sound(redis, log)


async def test_one_writes_and_the_other_takes_its_place(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS[:50])
    async with running(log, server.url) as first:
        await level(first, log)
        async with running(log, server.url) as second:
            await more(log, EVENTS[50:100])
            await level(first, log)
            assert second._writer is None
            first._locks.renew = _refused  # type: ignore[method-assign, assignment]  # as if it had slept past its lock
            await more(log, EVENTS[100:])
            await level(second, log)
    await sound(redis, log)


async def _refused(*_: Any) -> bool:
    return False


async def test_emptied_in_the_middle_and_while_nothing_comes(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS[:60])
    async with running(log, server.url) as role:
        await level(role, log)
        await redis.flushall()
        await more(log, EVENTS[60:])
        await level(role, log)
        await sound(redis, log)
        await redis.flushall()
        await level(role, log)
        await sound(redis, log)


async def test_killed_and_started_again(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS[:60])
    async with running(log, server.url) as role:
        await level(role, log)
        server.kill()
        await more(log, EVENTS[60:])
        server.start()
        await level(role, log)
        await sound(redis, log)


async def test_a_server_that_is_late_and_one_that_stops_answering(tmp_path: Path) -> None:
    log = await log_of(EVENTS[:60])
    with valkey_server(tmp_path) as late:
        late.kill()
        async with running(log, late.url, patience_s=1.0) as role:
            with pytest.raises(WorldUnavailable):
                await role.position()
            late.start()
            await level(role, log)
            late.pause()
            await more(log, EVENTS[60:])
            with pytest.raises(WorldUnavailable):  # after the client's own patience
                await role.position()
            late.resume()
            await level(role, log)
            async with Redis.from_url(late.url) as client:
                await sound(client, log)


async def test_a_store_of_another_log_is_folded_anew(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS)
    async with running(log, server.url) as role:
        await level(role, log)
    shorter = await log_of(EVENTS[:70])
    async with running(shorter, server.url) as role:
        await level(role, shorter)
    await sound(redis, shorter)


# rebuilding and checking


async def test_a_rebuild_turns_to_a_new_generation_and_removes_the_old(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS[:100])
    async with running(log, server.url) as role:
        await level(role, log)
        heard: list[tuple[int, int]] = []
        await more(log, EVENTS[100:])
        assert await role.rebuild(None, lambda at, to: heard.append((at, to))) == len(EVENTS)
        assert heard[-1] == (len(EVENTS), len(EVENTS))
        state = await role.store.state()
        assert (state.generation, state.position, state.held) == (2, len(EVENTS), False)
        await sound(redis, log)
        assert not [key async for key in redis.scan_iter(match="stig:{*}:w1:*")]
        await more(log, [msgspec.structs.replace(EVENTS[0], id="new", mission="new")])
        await level(role, log)
        await sound(redis, log)


async def test_a_rebuild_to_an_event_stays_there(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS)
    async with running(log, server.url) as role:
        await level(role, log)
        assert await role.rebuild(40, lambda *_: None) == 40
        await sound(redis, log)
        tenant = EVENTS[0].tenant
        view = WorldView(WorldReader(redis, tenant))
        expected = fold([event for event in EVENTS[:40] if event.tenant == tenant], World(tenant))
        for name, mission in expected.missions.items():
            assert (await view.mission(name)).value == mission.state
        await more(log, EVENTS[:1])
    async with running(log, server.url, lock_s=0.3) as role:  # a successor stays there, too
        await until(lambda: _leads(role), "it leads")
        assert await role.position() == 40
        assert await role.rebuild(None, lambda *_: None) == await log.last_sequence()
        await level(role, log)
    await sound(redis, log)


async def _leads(role: WorldRole) -> bool:
    return role._writer is not None


async def test_what_cannot_be_rebuilt_is_refused(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS[:50])
    async with running(log, server.url) as one, running(log, server.url) as other:
        await level(one, log)
        await until(lambda: _leads_one(one, other), "one leads")
        role, idle = (one, other) if other._writer is None else (other, one)
        with pytest.raises(InvalidInput, match="ends at 50"):
            await role.rebuild(51, lambda *_: None)
        with pytest.raises(Refused, match="another process"):
            await idle.rebuild(None, lambda *_: None)
        log._messages = log._messages[10:]
        with pytest.raises(Refused, match="begins at 11"):
            await role.rebuild(None, lambda *_: None)
        assert (await role.store.state()).generation == 1


async def _leads_one(*roles: WorldRole) -> bool:
    return sum(role._writer is not None for role in roles) == 1


async def test_the_check_finds_every_kind_of_damage(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS)
    async with running(log, server.url) as role:
        await level(role, log)
    keys = Keys("t0", 1)
    mission = next(event.mission for event in EVENTS if event.tenant == "t0")
    tasks = await redis.hgetall(keys.part("tasks", mission))
    names = sorted(tasks)
    await redis.hset(keys.part("tasks", mission), names[0], tasks[names[1]])
    await redis.hdel(keys.agents, "w1")
    await redis.hset(keys.part("files", mission), "forged", b"\x92\xa1x\x90")
    await redis.delete(Keys("t1", 1).mission("m1"))
    await redis.zadd(keys.missions, {"nobody": "+inf"})
    report = await check(redis, log, keep_s=KEEP_S)
    found = {(one.tenant, one.part, one.name) for one in report.differences}
    assert {("t0", "tasks", names[0].decode()), ("t0", "agents", "w1"), ("t0", "files", "forged")} <= found
    assert ("t1", "mission", "m1") in found
    assert report.different == len(report.differences) == 4


def test_the_end_of_a_mission_is_when_it_expires() -> None:
    story = Story("one")
    assert expires_at(story.known, 10.0) is None


# asking


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
