"""Locks with fencing tokens, on a real Valkey and on its fake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from projections.world.locks import Locks
from schemas.errors import InvalidIdentifier, Refused

pytestmark = pytest.mark.timeout(60)
LONG_S = 600.0


@pytest.fixture(params=["fake", "valkey"])
def redis(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def test_one_has_it_and_tokens_grow(redis: Any) -> None:
    first, second = Locks(redis, "t", owner="a"), Locks(redis, "t", owner="b")
    held = await first.acquire("x", LONG_S)
    assert held is not None
    assert await second.acquire("x", LONG_S) is None
    assert await first.acquire("x", LONG_S) is None, "not even the same owner twice"
    assert await first.release(held)
    again = await second.acquire("x", LONG_S)
    assert again is not None
    assert again.token > held.token
    assert not await first.release(held), "what is no longer ours is not given back"
    assert not await first.renew(held, LONG_S)
    assert await second.acquire("x", LONG_S) is None


async def test_tenants_and_names_are_apart(redis: Any) -> None:
    for tenant, name in (("t", "x"), ("t", "y"), ("u", "x")):
        assert await Locks(redis, tenant).acquire(name, LONG_S) is not None
    with pytest.raises(InvalidIdentifier):
        await Locks(redis, "t").acquire("no name", LONG_S)


async def test_a_lock_runs_out_unless_it_is_renewed(redis: Any) -> None:
    sleeper, next_one = Locks(redis, "t", owner="a"), Locks(redis, "t", owner="b")
    held = await sleeper.acquire("x", 0.05)
    assert held is not None
    later = await next_one.acquire("x", LONG_S, wait_s=20)
    assert later is not None
    assert later.token > held.token
    assert not await sleeper.renew(held, LONG_S)
    kept = await sleeper.acquire("y", LONG_S)
    assert kept is not None
    assert await sleeper.renew(kept, 2 * LONG_S)
    assert await redis.pttl("stig:{t}:lock:y") > LONG_S * 1000


async def test_a_sleepers_token_is_refused_where_a_newer_one_was_seen(redis: Any) -> None:
    locks = Locks(redis, "t")
    old = await locks.acquire("x", LONG_S)
    assert old is not None
    assert await locks.admits("file", old.token)
    assert await locks.admits("file", old.token), "the holder may write often"
    await locks.release(old)
    new = await locks.acquire("x", LONG_S)
    assert new is not None
    assert await locks.admits("file", old.token), "nobody newer has written yet"
    assert await locks.admits("file", new.token)
    assert not await locks.admits("file", old.token)


async def test_tokens_grow_even_if_the_store_lost_everything(redis: Any) -> None:
    locks = Locks(redis, "t")
    before = await locks.acquire("x", LONG_S)
    await redis.flushdb()
    after = await locks.acquire("x", LONG_S)
    assert before is not None
    assert after is not None
    assert after.token >= before.token
    assert before.token > 1_600_000_000_000, "they follow the clock"


async def test_many_at_once_are_let_in_one_by_one(redis: Any) -> None:
    inside, tokens = 0, []

    async def work(name: str) -> None:
        nonlocal inside
        locks = Locks(redis, "t", owner=name)
        async with locks.holding("x", LONG_S, wait_s=30) as held:
            inside += 1
            assert inside == 1
            tokens.append(held.token)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work(f"w{number}") for number in range(6)))
    assert tokens == sorted(set(tokens))


async def test_holding_refuses_and_renews(redis: Any) -> None:
    locks = Locks(redis, "t")
    async with locks.holding("x", 0.3) as held:
        with pytest.raises(Refused, match="held by another"):
            async with locks.holding("x", 1.0):
                pass
        deadline = asyncio.get_running_loop().time() + 0.7
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        assert await redis.get("stig:{t}:lock:x") == held.value.encode(), "renewed past its time"
    assert await redis.get("stig:{t}:lock:x") is None
