"""A cluster of three NATS servers under a running system: the leader is killed, a follower is cut off, then two.

What was acknowledged is on the log, once; missions stand still at most while there is no majority, and end after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from events.jetstream import connect
from events.jetstream.api import call
from schemas.errors import LogUnavailable, ToolMissing
from schemas.plan import Plan, RetryPolicy
from schemas.subjects import EVENTS, noun_filter
from stigmergy import Client, MissionHandle
from stigmergy.local.ephemeral import valkey_server
from stigmergy.local.ephemeral_cluster import ThrowAwayCluster, nats_cluster
from tests.acceptance.missions import check_counted_once, history, layered, of, until
from tests.acceptance.stack import Stack

pytestmark = pytest.mark.xdist_group("acceptance-cluster")
_HEALED_S = 40.0
PATIENT = RetryPolicy(max_attempts=20, delay_s=0.05, max_delay_s=0.5)
PLAN = Plan(tasks=tuple(spec.model_copy(update={"retry": PATIENT}) for spec in layered(layers=2).tasks))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowAwayCluster]:
    try:
        with nats_cluster(tmp_path_factory.mktemp("cluster")) as running:
            yield running
    except ToolMissing as error:
        pytest.skip(f"{error}: {error.hint}")


@pytest.fixture(scope="module")
def stack(cluster: ThrowAwayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Roles and two workers on the cluster, with streams on three servers and the leases of the defaults."""
    folder = tmp_path_factory.mktemp("stack")
    asyncio.run(voted(cluster))
    with valkey_server(folder / "v") as valkey:
        first = cluster.servers["n1"]
        stack = Stack(folder, cluster.url, first, valkey, nats_replicas=3, worker_lease_s=5.0, heartbeat_s=1.0)
        try:
            stack.serve("orchestrator", "task-queue").await_ready()
            stack.pool()
            stack.await_ready()
            yield stack
        finally:
            stack.end()


async def voted(cluster: ThrowAwayCluster) -> None:
    """Return when the servers have met and chosen a leader: before that JetStream answers nobody."""
    nc = await connect(cluster.url, name="test", timeout_s=20)
    async with asyncio.timeout(_HEALED_S):
        while True:
            with suppress(LogUnavailable):
                await call(nc, "INFO", timeout_s=1.0)
                break
            await asyncio.sleep(0.1)
    await nc.close()


async def place_of_events(client: Client) -> tuple[str, list[str]]:
    """Who leads the stream of events now, and who follows up to date."""
    async with asyncio.timeout(_HEALED_S):
        while True:
            with suppress(LogUnavailable):
                about: dict[str, Any] = (await call(client.bus.nc, f"STREAM.INFO.{EVENTS}", timeout_s=1.0))["cluster"]
                current = [peer["name"] for peer in about.get("replicas", []) if peer.get("current")]
                if about.get("leader") and len(current) == 2:
                    return about["leader"], current
            await asyncio.sleep(0.1)


class Notes:
    """Publishes notes all the time, each until it is acknowledged, and remembers which were."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.acknowledged: list[str] = []
        self.refused = 0

    async def write(self) -> None:
        number = 0
        while True:
            number += 1
            event = self._client.event("note.posted", {"text": f"note {number}"})
            while True:
                try:
                    await self._client.publish_event(event)
                except LogUnavailable:
                    self.refused += 1  # published again with the same id
                else:
                    self.acknowledged.append(event.id)
                    break
            await asyncio.sleep(0.01)


@asynccontextmanager
async def writing(client: Client) -> AsyncIterator[Notes]:
    """Notes being written for the time of the block; afterwards each that was acknowledged is there once."""
    notes = Notes(client)
    task = asyncio.create_task(notes.write())
    try:
        yield notes
        before = len(notes.acknowledged)
        async with asyncio.timeout(_HEALED_S):
            while len(notes.acknowledged) < before + 5:
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    filters = [noun_filter("note", tenant=client.settings.tenant)]
    found = Counter([event.id async for event in client.events(filters, first=1, follow=False)])
    assert len(notes.acknowledged) > 10
    assert not [identifier for identifier in notes.acknowledged if found[identifier] != 1]
    assert set(found.values()) == {1}


async def begun(client: Client) -> MissionHandle:
    mission = await client.submit("twenty tasks", plan=PLAN, timeout_s=_HEALED_S)
    await until(mission, of("task.succeeded"), count=4)
    return mission


async def completed(mission: MissionHandle) -> None:
    outcome = await mission.outcome(timeout_s=_HEALED_S)
    assert outcome.status == "completed", outcome.failure
    check_counted_once(await history(mission), PLAN, most_attempts=20)


async def test_the_leader_of_the_log_is_killed(cluster: ThrowAwayCluster, stack: Stack) -> None:
    async with Client(stack.settings) as client:
        leader, _ = await place_of_events(client)
        async with writing(client):
            mission = await begun(client)
            cluster.servers[leader].kill()
            await completed(mission)
            cluster.servers[leader].start()
            assert (await place_of_events(client))[0] != leader


async def test_a_follower_is_cut_off(cluster: ThrowAwayCluster, stack: Stack) -> None:
    async with Client(stack.settings) as client:
        _, [follower, _] = await place_of_events(client)
        async with writing(client):
            mission = await begun(client)
            cluster.servers[follower].pause()
            try:
                await completed(mission)
            finally:
                cluster.servers[follower].resume()
            await place_of_events(client)


async def test_without_a_majority_everything_waits(
    cluster: ThrowAwayCluster, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(stack.settings) as client:
        _, cut = await place_of_events(client)
        async with writing(client) as notes:
            mission = await begun(client)
            for name in cut:
                cluster.servers[name].pause()
            try:
                await asyncio.sleep(2.0)  # what still came through has come through by now
                stood = len(notes.acknowledged)
                await asyncio.sleep(3.0)
                # One may have been stored before the cut while its acknowledgement went to a server that was cut off.
                assert len(notes.acknowledged) <= stood + 1
                assert "the log does not take what is written" in caplog.text
            finally:
                for name in cut:
                    cluster.servers[name].resume()
            await completed(mission)
