"""The world model of a whole system: right afterwards, whatever happens to Redis or to its writer meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from redis.asyncio import Redis

from projections.world.check import check
from schemas.errors import StigmergyError
from stigmergy import Client, MissionHandle, SyncClient
from stigmergy.wiring import world_redis
from tests.acceptance.missions import check_counted_once, history, layered, of, until
from tests.acceptance.stack import ROOT, Stack

pytestmark = pytest.mark.xdist_group("acceptance-kills")
PLAN = layered(layers=3, width=8)
WITHIN_S = 60.0


async def begun(client: Client) -> MissionHandle:
    mission = await client.submit("tasks", plan=PLAN)
    await until(mission, of("task.succeeded"), count=5)
    return mission


async def right_afterwards(client: Client, mission: MissionHandle) -> None:
    """The mission ends as ever, and the model then says so and is what the log says."""
    outcome = await mission.outcome(timeout_s=WITHIN_S)
    assert outcome.status == "completed", outcome.failure
    check_counted_once(await history(mission), PLAN)
    state = await patiently(client, mission, outcome.sequence)
    assert (state.value.status, state.value.tasks) == ("completed", {"succeeded": len(PLAN.tasks)})
    tasks = (await client.world.tasks(mission.id)).value
    assert {task.id for task in tasks} == {spec.id for spec in PLAN.tasks}
    async with world_redis(client.settings) as redis:
        report = await check(redis, client.bus.log, keep_s=client.settings.world_keep_s)
    assert report.sound, report.differences


async def patiently(client: Client, mission: MissionHandle, at_least: int) -> Any:
    """Ask until the model answers: it may still be without Redis, or without a role."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await client.world.mission(mission.id, at_least=at_least, timeout_s=WITHIN_S)
            except StigmergyError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.2)


async def test_valkey_loses_everything_in_the_middle(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        async with Redis.from_url(stack.valkey.url) as redis:
            await redis.flushall()
        await right_afterwards(client, mission)


async def test_valkey_is_killed_and_started_again(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack.valkey.kill()
        stack.valkey.start()
        await right_afterwards(client, mission)


async def test_valkey_does_not_answer_for_a_while(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack.valkey.pause()
        await asyncio.sleep(2.0)  # the length of the outage; nothing is waited for
        stack.valkey.resume()
        await right_afterwards(client, mission)


async def test_the_writer_is_killed(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await begun(client)
        stack["world"].kill()
        outcome = await mission.outcome(timeout_s=WITHIN_S)
        assert outcome.status == "completed", "nobody waits for the world model"
        stack.mend()
        await right_afterwards(client, mission)


def test_the_command_line_and_the_blocking_client(shared: Stack) -> None:
    with SyncClient(shared.settings) as client:
        outcome = client.run("hello", workflow="hello", timeout_s=WITHIN_S)
        answer = client.world.mission(outcome.id, at_least=outcome.sequence, timeout_s=WITHIN_S)
        assert answer.value is not None
        assert answer.value.status == "completed"
        assert {agent.status.value for agent in client.world.agents().value} & {"ready", "executing"}
    shown = stig(shared, "world", "show", "--mission", outcome.id, "--json", "--at-least", str(outcome.sequence))
    told = json.loads(shown.stdout)
    assert told["position"] >= outcome.sequence
    assert told["value"]["mission"]["status"] == "completed"
    assert {task["status"] for task in told["value"]["tasks"]} == {"succeeded"}
    assert "as of event" in stig(shared, "world", "show").stdout
    assert "ready" in stig(shared, "world", "agents").stdout
    assert "as of event" in stig(shared, "world", "files", "--mission", outcome.id).stdout
    assert "as of event" in stig(shared, "world", "tests", "--mission", outcome.id).stdout
    assert stig(shared, "world", "check").stdout.startswith("sound:")
    missing = stig(shared, "world", "files", "--mission", "nobody", code=2)
    assert "there is no mission" in missing.stderr
    late = stig(shared, "world", "agents", "--at-least", "99999999", "--timeout", "0.1", code=1)
    assert "did not reach" in late.stderr


def stig(stack: Stack, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **stack.settings.environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "stigmergy.cli", *arguments],
        env=environment,
        cwd=stack.folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
