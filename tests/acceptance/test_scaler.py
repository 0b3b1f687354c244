"""A scaler grows a pool from nothing, takes it away again, and is followed when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from schemas.envelope import Event
from schemas.plan import Plan, TaskSpec
from schemas.subjects import noun_filter
from stigmergy import Client
from tests.acceptance.missions import data
from tests.acceptance.stack import Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"scale": "echo:0..3", "scale_tasks": 2.0, "scale_cool_s": 2.0}
    with running(tmp_path_factory.mktemp("scaled"), pools=(), **settings) as stack:
        stack.serve("scaler").await_ready()
        yield stack


def plan(count: int) -> Plan:
    return Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.3}) for n in range(count)))


async def decisions(client: Client) -> list[Event]:
    filters = [noun_filter("pool", tenant=client.settings.tenant)]
    return [event async for event in client.events(filters, first=1, follow=False)]


async def gone(client: Client) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while await client.workers(listen_s=0.8):
            await asyncio.sleep(0.1)


async def test_from_nothing_and_back(scaled: Stack) -> None:
    async with Client(scaled.settings) as client:
        assert not await client.workers()
        mission = await client.submit("twelve", plan=plan(12))
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
        await gone(client)
        told = [data(event) for event in await decisions(client)]
        assert told[0]["before"] == 0
        assert max(one["after"] for one in told) == 3
        assert told[-1]["after"] == 0
        assert all(one["reason"] for one in told)
        assert len({one["term"] for one in told}) == 1


async def test_another_one_follows(scaled: Stack) -> None:
    async with Client(scaled.settings) as client:
        before = await decisions(client)
        leader = scaled["scaler"]
        mission = await client.submit("many", plan=plan(30))
        async with asyncio.timeout(_WITHIN_S):
            while not await client.workers(listen_s=0.6):
                pass
        follower = scaled._start("scaler-2", ("roles", "scaler"))
        follower.await_ready()
        leader.kill()
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
        after = [data(event) for event in (await decisions(client))[len(before) :]]
        terms = [one["term"] for one in after]
        assert terms == sorted(terms)
        assert len(set(terms)) == 2
        await gone(client)
