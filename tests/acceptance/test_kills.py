"""Processes and servers are killed in mid-mission: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from schemas.envelope import Event, moment_of
from schemas.plan import Plan, TaskSpec
from stigmergy import Client, MissionHandle
from tests.acceptance.missions import check_counted_once, data, history, layered, of, until
from tests.acceptance.stack import LEASE_S, Stack

pytestmark = pytest.mark.xdist_group("acceptance-kills")
SLACK_S = 7.5
PLAN = layered()
SLOW = {spec.id for spec in PLAN.tasks if spec.inputs["sleep_s"] > 0.25}
begins = of("attempt.started")


async def begun(client: Client, succeeded: int = 6) -> MissionHandle:
    """A mission that is well under way."""
    mission = await client.submit("forty tasks", plan=PLAN)
    await until(mission, of("task.succeeded"), count=succeeded)
    return mission


async def completed(mission: MissionHandle) -> list[Event]:
    """The events of a mission, of which each task has been counted once."""
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "completed", outcome.failure
    events = await history(mission)
    check_counted_once(events, PLAN)
    return events


async def test_the_orchestrator_is_killed(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack["orchestrator"].kill()
        stack.mend()
        events = await completed(mission)
        assert not [event for event in events if event.type == "task.retried"]


async def test_the_task_queue_manager_is_killed(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack["task-queue"].kill()
        stack.mend()
        events = await completed(mission)
        assert not [event for event in events if event.type == "task.retried"]


def lost_at(events: list[Event], killed_at: datetime) -> list[float]:
    """Seconds from the kill to the second attempts."""
    again = [event for event in events if event.type == "attempt.started" and data(event)["attempt"] == 2]
    return [(moment_of(event) - killed_at).total_seconds() for event in again]


def pid_of(started: Event) -> int:
    """The process that claimed an attempt; it is part of the worker's name."""
    return int(data(started)["worker"].split("-")[-2])


async def in_hand(client: Client, mission: MissionHandle, pids: list[int] | None = None) -> Event:
    """A slow attempt that has just been claimed, by one of these processes if any are named."""
    now = await client.bus.log.last_sequence()

    def wanted(event: Event) -> bool:
        fresh = event.sequence > now and event.subject in SLOW and begins(event)
        return fresh and (pids is None or pid_of(event) in pids)

    return await until(mission, wanted)


async def test_a_pool_child_is_killed(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        started = await in_hand(client, mission)
        os.kill(pid_of(started), signal.SIGKILL)
        killed_at = datetime.now(UTC)
        events = await completed(mission)
        [lost] = [event for event in events if event.type == "action.expired"]
        assert lost.subject == started.subject
        [delay] = lost_at(events, killed_at)
        assert delay < LEASE_S + SLACK_S


async def test_a_whole_pool_is_killed(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        await in_hand(client, mission, stack["pool"].alive())
        stack["pool"].kill_all()
        killed_at = datetime.now(UTC)
        delays = lost_at(await completed(mission), killed_at)
        assert delays
        assert max(delays) < LEASE_S + SLACK_S, delays


async def test_only_the_main_process_of_a_pool_is_killed(stack: Stack) -> None:
    pool = stack["pool"]
    async with Client(stack.settings) as client:
        mission = await begun(client)
        pool.kill()
        await completed(mission)
        async with asyncio.timeout(LEASE_S + SLACK_S):
            while pool.alive():
                await asyncio.sleep(0.05)  # nothing tells when a foreign process has ended


async def test_a_worker_the_manager_and_redis_are_killed_in_turn(stack: Stack) -> None:
    tasks = tuple(TaskSpec(id=f"w{number}", skill="echo", inputs={"sleep_s": 0.1}) for number in range(60))
    plan, killed_at = Plan(tasks=tasks), datetime.now(UTC)
    async with Client(stack.settings) as client:
        mission = await client.submit("sixty tasks", plan=plan)
        succeeded, turn = 0, 0
        async with asyncio.timeout(60), aclosing(mission.events()) as events:
            async for event in events:
                succeeded += event.type == "task.succeeded"
                if turn == 0 and succeeded >= 15 and begins(event):
                    os.kill(pid_of(event), signal.SIGKILL)
                    turn, killed_at = 1, datetime.now(UTC)
                elif turn == 1 and succeeded >= 30:
                    stack["task-queue"].kill()
                    stack.mend()
                    turn = 2
                elif turn == 2 and succeeded >= 45:
                    stack.valkey.kill()
                    stack.mend()
                    break
        outcome = await mission.outcome(timeout_s=60)
        assert outcome.status == "completed", outcome.failure
        events_of_all = await history(mission)
    check_counted_once(events_of_all, plan, most_attempts=3)
    assert all(delay < LEASE_S + SLACK_S for delay in lost_at(events_of_all, killed_at)[:1])


async def test_everything_is_killed_at_once(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
    stack.kill_everything()
    stack.mend()
    async with Client(stack.settings) as client:
        await completed(client.mission(mission.id))


async def test_nats_is_killed_and_started_again(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack.nats.kill()
        stack.nats.start()
        await completed(mission)


async def test_valkey_is_killed_and_started_again(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack.valkey.kill()
        stack.valkey.start()
        await completed(mission)


async def test_valkey_loses_everything(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        async with Redis.from_url(stack.valkey.url) as redis:
            await redis.flushall()
        await completed(mission)
