"""Workers come and go at random while a mission runs: no task is lost, none is counted twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client, MissionHandle
from tests.acceptance.missions import check_counted_once, history
from tests.acceptance.stack import Process, Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
TASKS = int(os.environ.get("STIGMERGY_TEST_TASKS", "400"))
"""2000 for the long version."""
SEED = int(os.environ.get("STIGMERGY_TEST_SEED", "20261125"))
_WITHIN_S = 60.0 + TASKS / 10
PLAN = Plan(
    tasks=tuple(
        TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.03}, retry=RetryPolicy(max_attempts=20, delay_s=0.05))
        for n in range(TASKS)
    )
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("fleet"), pools=("pool-0",)) as stack:
        yield stack


async def come_and_go(stack: Stack, chance: random.Random, done: asyncio.Event) -> dict[str, int]:
    """Pools of one to three workers are started, drained and killed in turn, until the mission has ended."""
    pools: list[Process] = [stack["pool-0"]]
    counts = {"started": 0, "drained": 0, "killed": 0}
    while not done.is_set():
        if len(pools) < 2 or (len(pools) < 4 and chance.random() < 0.5):
            counts["started"] += 1
            pools.append(stack.pool(chance.randint(1, 3), name=f"pool-{counts['started']}"))
        else:
            leaving = pools.pop(chance.randrange(len(pools)))
            if chance.random() < 0.5:
                counts["killed"] += 1
                leaving.kill_all()
            else:
                counts["drained"] += 1
                leaving.ask_to_end()
        try:
            async with asyncio.timeout(chance.uniform(0.3, 1.2)):
                await done.wait()
        except TimeoutError:
            continue
    return counts


async def ended(mission: MissionHandle, done: asyncio.Event) -> str:
    try:
        return (await mission.outcome(timeout_s=_WITHIN_S)).status
    finally:
        done.set()


async def test_none_is_lost_and_none_is_doubled(fleet: Stack) -> None:
    done = asyncio.Event()
    async with Client(fleet.settings) as client:
        mission = await client.submit("many", plan=PLAN)
        status, counts = await asyncio.gather(ended(mission, done), come_and_go(fleet, random.Random(SEED), done))
        assert status == "completed"
        check_counted_once(await history(mission), PLAN, most_attempts=20)
        assert counts["drained"] + counts["killed"] > 1, counts
