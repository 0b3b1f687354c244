"""The role ``world`` on a real Valkey that is emptied, restarted, stopped and late; and the questions it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from projections.world import World, fold
from projections.world.check import check
from projections.world.connecting import WorldUnavailable, connect
from projections.world.effects import expires_at
from projections.world.keys import Keys
from projections.world.queries import WorldView
from projections.world.reader import WorldReader
from projections.world.role import WorldRole
from projections.world.store import StoreState, WorldStore
from schemas.errors import InvalidInput, Refused
from stigmergy.local.ephemeral import ThrowAwayServer, valkey_server
from tests.core.world_events import Story, mixed
from tests.integration.world_roles import KEEP_S, level, log_of, more, running, sound, until

pytestmark = pytest.mark.timeout(120)
EVENTS = mixed(3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with valkey_server(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture
async def redis(server: ThrowAwayServer) -> AsyncIterator[Any]:
    async with connect(server.url) as client:
        await client.flushall()
        yield client


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


async def test_a_rebuild_that_fails_leaves_nothing_and_changes_nothing(redis: Any, server: ThrowAwayServer) -> None:
    log = await log_of(EVENTS)
    async with running(log, server.url) as role:
        await level(role, log)

        def fail(at: int, to: int) -> None:
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            await role.rebuild(None, fail)
        assert (await role.store.state()).generation == 1
        assert not [key async for key in redis.scan_iter(match="stig:{*}:w2:*")]
        await sound(redis, log)


async def test_a_rebuild_may_be_killed_before_any_step_of_its_switch(redis: Any, server: ThrowAwayServer) -> None:
    log, steps, used = await log_of(EVENTS), 0, set[bool]()
    died = True
    while died:
        async with running(log, server.url) as role:
            await until(lambda: _leads(role), "it leads")
            await level(role, log)
            before = (await role.store.state()).generation
            made = role.store = _Dying(role.store.redis, keep_s=KEEP_S)
            made.rebuilding = asyncio.current_task()

            def switching(at: int, to: int, made: _Dying = made, steps: int = steps) -> None:
                made.left = steps if at == to else None

            try:
                await role.rebuild(None, switching)
                died = False
            except _Crash:
                steps += 1
            made.left = None
            used.add((await made.state()).generation != before)
            await sound(redis, log)  # what its readers find between the death and the next start
        async with running(log, server.url) as role:  # and what the next writer makes of it
            await level(role, log)
            await until(lambda: _leads(role), "it leads")
            now = (await role.store.state()).generation
            await sound(redis, log)
            kept = {key.decode().split(":")[2] async for key in redis.scan_iter(match="stig:{*}:w[0-9]*:*")}
            assert kept == {f"w{now}"}, "it was not cleaned up"
    assert steps >= 4  # the record, two tenants, and the sweep
    assert used == {False, True}  # the old one was found in use, and the new one


class _Crash(BaseException):
    """The process is gone: nothing is tidied up."""


class _Dying(WorldStore):
    """Dies before one of the steps of a switch; None: it lives. What follows the log beside it does not count."""

    left: int | None = None
    rebuilding: asyncio.Task[Any] | None = None

    def _step(self) -> None:
        if self.left is not None and asyncio.current_task() is self.rebuilding:
            self.left -= 1
            if self.left < 0:
                raise _Crash

    async def state(self) -> StoreState:
        self._step()
        return await super().state()

    async def record(self, epoch: int, generation: int, fields: Mapping[str, str | int], *, anew: bool = False) -> None:
        self._step()
        await super().record(epoch, generation, fields, anew=anew)

    async def point(self, tenant: str, generation: int) -> None:
        self._step()
        await super().point(tenant, generation)

    async def sweep(self, current: int, *, also: int = 0) -> None:
        self._step()
        await super().sweep(current, also=also)


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
