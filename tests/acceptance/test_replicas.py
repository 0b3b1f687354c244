"""Three orchestrators and three task-queue managers share missions out; some are killed, join, leave, or sleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from events.leadership.jetstream import JetStreamKeys
from events.leadership.view import View
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client, MissionHandle
from stigmergy.leaders import leaders
from stigmergy.local.ephemeral import nats_server, valkey_server
from tests.acceptance.missions import check_counted_once, history
from tests.acceptance.stack import ROOT, Process, Stack

pytestmark = pytest.mark.xdist_group("acceptance-replicas")
ROLES = ("orchestrator", "task-queue")
MISSIONS, TASKS = 10, 20
FAILOVER_S = 5.0
SLACK_S = 5.0
"""For a machine on which much else runs."""
PLAN = Plan(
    tasks=tuple(
        TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.1}, retry=RetryPolicy(max_attempts=5, delay_s=0.05))
        for n in range(TASKS)
    )
)


class Replicas(Stack):
    """A stack whose roles have several processes."""

    def replica(self, role: str, number: int) -> Process:
        """Start one more; it may not be ready yet."""
        return self._start(f"{role}-{number}", ("roles", role))


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    folder = tmp_path_factory.mktemp("replicas")
    with nats_server(folder / "n") as nats, valkey_server(folder / "v") as valkey:
        stack = Replicas(folder, nats.url, nats, valkey, skill_grace_s=30.0)
        try:
            for role in ROLES:
                for number in range(3):
                    stack.replica(role, number)
            stack.pool(4)
            stack.await_ready()
            yield stack
        finally:
            stack.end()


@pytest.fixture
def stack(replicas: Replicas) -> Replicas:
    """All three of each are there when the test begins."""
    replicas.mend()
    return replicas


async def led(client: Client, role: str) -> dict[int, str]:
    """Partition to its living leader, as the store has it."""
    view = View(role)
    for entry in await JetStreamKeys(client.bus.nc).all():
        if entry.key.startswith(f"{role}."):
            view.take(entry, 0.0)
    return view.owners()


async def shared_by(client: Client, role: str, members: int, within_s: float = 30.0) -> dict[int, str]:
    """The leaders once that many members share all partitions evenly."""
    owners: dict[int, str] = {}
    try:
        async with asyncio.timeout(within_s):
            while True:
                owners = await led(client, role)
                counts = [list(owners.values()).count(one) for one in set(owners.values())]
                if len(owners) == 32 and len(counts) == members and max(counts) - min(counts) <= 1:
                    return owners
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{role}: {sorted(owners.items())}") from None


@asynccontextmanager
async def well_under_way(stack: Stack) -> AsyncIterator[tuple[Client, list[MissionHandle]]]:
    """Two hundred tasks in ten missions, of which some have ended. All succeed, and count once, in the end."""
    async with Client(stack.settings) as client:
        for role in ROLES:
            await shared_by(client, role, 3)
        missions = [await client.submit(f"mission {n}", plan=PLAN) for n in range(MISSIONS)]
        await progress(client, missions, 20)
        yield client, missions
        for mission in missions:
            outcome = await mission.outcome(timeout_s=120)
            assert outcome.status == "completed", outcome.failure
            check_counted_once(await history(mission), PLAN, most_attempts=5)


async def progress(client: Client, missions: list[MissionHandle], more: int, within_s: float = 60.0) -> None:
    """Return when so many more attempts of these missions have been made."""
    names = {mission.id for mission in missions}

    async def made() -> int:
        counts = await client.bus.log.missions(("attempt.finished",))
        return sum(count["attempt.finished"] for (_, mission), count in counts.items() if mission in names)

    before = await made()
    async with asyncio.timeout(within_s):
        while await made() < before + more:
            await asyncio.sleep(0.05)


async def failed_over(client: Client, role: str, gone: str) -> None:
    async with asyncio.timeout(30):
        while len(owners := await led(client, role)) < 32 or gone in owners.values():
            await asyncio.sleep(0.02)


def leader_of(process: Process, owners: dict[int, str]) -> str:
    return next(name for name in owners.values() if f"-{process.pid}-" in name)


@pytest.mark.parametrize("role", ROLES)
async def test_one_is_killed(stack: Replicas, role: str) -> None:
    async with well_under_way(stack) as (client, _):
        owners = await led(client, role)
        gone = leader_of(stack[f"{role}-1"], owners)
        stack[f"{role}-1"].kill()
        began = time.monotonic()
        await failed_over(client, role, gone)
        took_s = time.monotonic() - began
        print(f"{role}: {list(owners.values()).count(gone)} partitions failed over in {took_s:.2f} s")
        assert took_s < FAILOVER_S + SLACK_S
        await shared_by(client, role, 2)


@pytest.mark.parametrize("role", ROLES)
async def test_one_more_joins(stack: Replicas, role: str) -> None:
    async with well_under_way(stack) as (client, _):
        before = await led(client, role)
        added = stack.replica(role, 3)
        added.await_ready()
        after = await shared_by(client, role, 4)
        moved = [part for part in before if before[part] != after[part]]
        assert len(moved) == 8, "only what the newcomer has now"
        added.end()
        del stack._processes[f"{role}-3"]
        await shared_by(client, role, 3)


@pytest.mark.parametrize("role", ROLES)
async def test_one_is_asked_to_end(stack: Replicas, role: str) -> None:
    async with well_under_way(stack) as (client, _):
        gone = leader_of(stack[f"{role}-2"], await led(client, role))
        began = time.monotonic()
        await asyncio.to_thread(stack[f"{role}-2"].end)
        assert gone not in (await led(client, role)).values()  # given back before it ended
        await shared_by(client, role, 2)
        print(f"{role}: handed over in {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize("role", ROLES)
async def test_one_that_is_stopped_for_longer_than_its_lease_does_no_harm(stack: Replicas, role: str) -> None:
    async with well_under_way(stack) as (client, _):
        sleeper = stack[f"{role}-0"]
        gone = leader_of(sleeper, await led(client, role))
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            await failed_over(client, role, gone)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        await shared_by(client, role, 3)  # it has noticed, and joined again
        assert not sleeper.has_ended()


async def test_nats_is_killed_and_comes_back(stack: Replicas) -> None:
    async with well_under_way(stack) as (client, _):
        before = {role: await led(client, role) for role in ROLES}
        stack.nats.kill()
        await asyncio.sleep(1.0)
        stack.mend()
        for role in ROLES:
            after = await shared_by(client, role, 3)
            print(f"{role}: {sum(before[role][part] != after[part] for part in after)} partitions moved")


async def test_a_command_is_carried_out_by_whoever_takes_it(stack: Replicas) -> None:
    async with Client(stack.settings) as client:
        await shared_by(client, "orchestrator", 3)
        slow = Plan(tasks=(TaskSpec(id="a", skill="echo", inputs={"sleep_s": 30.0}),))
        missions = [await client.submit(f"slow {n}", plan=slow) for n in range(9)]
        for mission in missions:
            await mission.cancel("on purpose")
        for mission in missions:
            assert (await mission.outcome(timeout_s=30)).status == "cancelled"


async def test_leaders_are_shown(stack: Replicas) -> None:
    async with Client(stack.settings) as client:
        await shared_by(client, "orchestrator", 3)
        shown = {group.name: group for group in await leaders(client)}
        for role in ROLES:
            here = [member for member in shown[role].members if member.state == "here"]
            assert shown[role].led == shown[role].partitions == 32
            assert sorted(part for member in here for part in member.partitions) == list(range(32))
            assert all(member.why for member in shown[role].members if member.state == "gone")
        os.kill(stack["orchestrator-0"].pid, signal.SIGSTOP)
        try:
            states = [member.state for group in await leaders(client) for member in group.members]
            assert "silent" in states or "gone" in states
        finally:
            os.kill(stack["orchestrator-0"].pid, signal.SIGCONT)
    environment = {**os.environ, **stack.settings.environment()}
    command = (sys.executable, "-m", "stigmergy.cli", "leaders")
    table = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "task-queue: 32 of 32 led" in table.stdout
    print(table.stdout)
    as_json = await asyncio.to_thread(
        subprocess.run, (*command, "--json"), env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {group["name"] for group in json.loads(as_json.stdout)} == {"orchestrator", "task-queue"}
