"""Pools are drained, scaled, bounded in memory, and made of threads."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from schemas.plan import Plan, TaskSpec
from schemas.signals import Heartbeat, PoolCall
from schemas.subjects import noun_filter
from stigmergy import Client
from stigmergy.cli.main import run as stig
from stigmergy.fleet import Roll, call, roll_call
from tests.acceptance.missions import data, history, of, one, until
from tests.acceptance.stack import MISBEHAVING, Process, Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_WITHIN_S = 40.0
Start = Callable[..., Process]


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("pools"), pools=()) as stack:
        yield stack


@pytest.fixture
async def client(roles: Stack) -> AsyncIterator[Client]:
    async with Client(roles.settings) as connected:
        yield connected


@pytest.fixture
def start(roles: Stack) -> Iterator[Start]:
    """Starts pools, as :meth:`Stack.pool`, that end with the test."""
    started: list[Process] = []

    def pool(*arguments: Any, **how: Any) -> Process:
        started.append(roles.pool(*arguments, **how))
        return started[-1]

    yield pool
    for process in started:
        process.end()


@pytest.fixture
def pool(start: Start) -> Process:
    """A pool of two processes."""
    process = start(imports=(MISBEHAVING,), name="pool")
    process.await_ready()
    return process


def sleeping(count: int, seconds: float) -> Plan:
    return Plan(
        tasks=tuple(TaskSpec(id=f"t{number}", skill="echo", inputs={"sleep_s": seconds}) for number in range(count))
    )


async def settled(roll: Roll, size: int) -> list[Heartbeat]:
    """The workers, once there are so many."""
    async with asyncio.timeout(_WITHIN_S):
        while len(present := roll.present()) != size:
            await asyncio.sleep(0.1)
    return present


async def test_a_drained_pool_ends_what_runs_and_takes_no_more(client: Client, start: Start, pool: Process) -> None:
    async with roll_call(client) as roll:
        [one_of_them, _] = await settled(roll, 2)
        mission = await client.submit("five", plan=sleeping(5, 1.5))
        await until(mission, of("attempt.started"), count=2)
        start(name="other")
        wish = PoolCall(name=one_of_them.worker, grace_s=30)
        await call(client, roll, wish, lambda there: any(b.draining for b in there), within_s=_WITHIN_S)
        outcome = await mission.outcome(timeout_s=_WITHIN_S)
        assert outcome.status == "completed"
        started = [data(event)["worker"] for event in await history(mission) if event.type == "attempt.started"]
        assert len(started) == 5
        first = [beat for beat in started if beat.split("-")[-2] in map(str, pids(roll, one_of_them.pool))]
        assert len(first) <= 2
        async with asyncio.timeout(_WITHIN_S):
            while not pool.has_ended():
                await asyncio.sleep(0.1)


def pids(roll: Roll, pool: str) -> set[int]:
    return {beat.pid for beat, _ in roll._heard.values() if beat.pool == pool}


async def test_after_the_grace_others_go_on(client: Client, start: Start, pool: Process) -> None:
    async with roll_call(client) as roll:
        present = await settled(roll, 2)
        mission = await client.submit("long", plan=one("hungry", attempts=2, megabytes=1))
        await until(mission, of("attempt.started"))
        other = start(imports=(MISBEHAVING,), name="other")
        await asyncio.to_thread(other.await_ready)
        wish = PoolCall(name=present[0].pool, grace_s=0.2)

        def told(present: list[Heartbeat]) -> bool:
            return all(beat.draining or beat.pool != wish.name for beat in present)

        await call(client, roll, wish, told, within_s=_WITHIN_S)
        ended = await until(mission, of("attempt.finished"))
        assert data(ended)["failure"]["code"] == "drained"
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
        assert not [event for event in await history(mission) if event.type == "action.expired"]


async def test_a_pool_is_scaled_up_and_down(client: Client, pool: Process) -> None:
    async with roll_call(client) as roll:
        [first, _] = await settled(roll, 2)
        for size in (4, 1):
            await call(client, roll, PoolCall(name=first.pool, size=size), lambda b: len(b) == size, within_s=_WITHIN_S)  # noqa: B023
        outcome = await (await client.submit("three", plan=sleeping(3, 0.05))).outcome(timeout_s=_WITHIN_S)
        assert outcome.status == "completed"
        events = [e async for e in client.events([noun_filter("worker"), noun_filter("fleet")], first=1, follow=False)]
        said_goodbye = {e.subject for e in events if e.type == "worker.left"}
        gone = {name for name, (beat, _) in roll._heard.items() if beat.pool == first.pool}
        assert gone - {beat.worker for beat in roll.present()} <= said_goodbye


async def test_threads_make_attempts_side_by_side(client: Client, start: Start) -> None:
    process = start(6, kind="threads", name="threads")
    process.await_ready()
    async with roll_call(client) as roll:
        present = await settled(roll, 6)
        assert len({beat.pid for beat in present}) == 1
        mission = await client.submit("six", plan=sleeping(6, 2.0))
        started = await until(mission, of("attempt.started"), count=6)
        finished = await until(mission, of("attempt.finished"))
        assert started.sequence < finished.sequence
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
        long = await client.submit("long", plan=one("echo", sleep_s=60))
        await until(long, of("attempt.started"))
        await long.cancel()
        assert data(await until(long, of("attempt.finished")))["outcome"] == "cancelled"


async def test_a_child_that_grows_too_large_is_ended(client: Client, start: Start) -> None:
    process = start(1, imports=(MISBEHAVING,), name="small", memory_mb=200)
    process.await_ready()
    mission = await client.submit("hungry", plan=one("hungry", attempts=2, megabytes=400))
    outcome = await mission.outcome(timeout_s=_WITHIN_S)
    assert outcome.status == "completed"
    assert [event.type for event in await history(mission)].count("action.expired") == 1
    assert "and is ended" in process.text()


async def test_who_dies_is_replaced_at_once(client: Client, pool: Process) -> None:
    async with roll_call(client) as roll:
        known = {beat.worker for beat in await settled(roll, 2)}
        for _ in range(2):  # where Celery looks by itself every 5 s, it has just looked when the second one dies
            mission = await client.submit("deadly", plan=one("unplugs"))
            assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "failed"
            ended_at = time.monotonic()
            while not (new := {beat.worker for beat in roll.present()} - known):
                assert time.monotonic() - ended_at < 3.0
                await asyncio.sleep(0.05)
            known |= new


def test_the_command_line_shows_and_steers_pools(
    roles: Stack, pool: Process, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in roles.settings.environment().items():
        monkeypatch.setenv(name, value)
    assert stig(["workers", "list", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    [first, second] = said["workers"]
    assert first["pool"] == second["pool"]
    assert "echo" in [skill["skill"] for skill in said["skills"]]
    assert stig(["workers", "inspect", first["worker"]]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["name"] == first["worker"]
    assert {"id", "name", "description", "tags"} <= set(card["skills"][0])
    assert stig(["workers", "scale", first["pool"], "3"]) == 0
    assert stig(["workers", "list"]) == 0
    assert capsys.readouterr().out.count("idle") == 3
    assert stig(["workers", "drain", "nobody"]) == 2
    assert stig(["workers", "drain"]) == 2
    assert stig(["workers", "drain", "--all", "--grace", "5"]) == 0
    assert "3 workers left" in capsys.readouterr().out


async def test_a_task_goes_where_its_requirements_are_fulfilled(
    client: Client, roles: Stack, pool: Process, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    special = start(1, name="special", labels={"gpu": "true"})
    special.await_ready()
    picky = {"gpu": True}
    tasks = tuple(
        TaskSpec(id=f"t{n}", skill="echo", requires=picky if n % 2 else {}, inputs={"sleep_s": 0.02}) for n in range(20)
    )
    mission = await client.submit("picky", plan=Plan(tasks=tasks))
    assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
    gifted = {beat.worker for beat in await client.workers() if beat.labels}
    made = {e.subject: data(e)["worker"] for e in await history(mission) if e.type == "attempt.started"}
    assert {made[f"t{n}"] for n in range(1, 20, 2)} <= gifted
    for name, value in roles.settings.environment().items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(stig, ["explain", mission.id, "t1"]) == 0


async def test_what_waits_for_workers_that_leave_goes_to_others(client: Client, roles: Stack, start: Start) -> None:
    first = start(1, name="special", labels={"gpu": "true"})
    first.await_ready()
    tasks = tuple(TaskSpec(id=f"t{n}", skill="echo", requires={"gpu": True}, inputs={"sleep_s": 1.0}) for n in range(3))
    mission = await client.submit("picky", plan=Plan(tasks=tasks))
    await until(mission, of("attempt.started"))
    first.kill_all()
    second = start(1, name="other", labels={"gpu": "true", "memory_gb": "24"})
    second.await_ready()
    assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
    codes = {data(e)["failure"]["code"] for e in await history(mission) if e.type == "action.expired"}
    assert codes == {"worker_lost", "workers_left"}
