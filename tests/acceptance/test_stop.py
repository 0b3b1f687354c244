"""The emergency stop on a whole system: what runs ends, what waits stays, and afterwards everything goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from schemas.errors import Refused
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client
from stigmergy.emergency import resume_work, stop_work, stops_in_force
from stigmergy.fleet import Roll
from stigmergy.hearing import hear_workers
from tests.acceptance.missions import check_counted_once, history, layered, of, task, until

pytestmark = pytest.mark.xdist_group("acceptance")
MARK = "86399.4217"
ESCAPES = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execvp("sleep", ["sleep", "{MARK}"])
        os._exit(0)
time.sleep({MARK})
"""


@pytest.fixture
async def calm(client: Client) -> AsyncIterator[Client]:
    """A client of a pool that is whole, whoever died in the test before; and nothing is stopped any more afterwards."""
    roll = Roll()
    await hear_workers(client.bus.nc, roll.hear)
    async with asyncio.timeout(20):
        while len(roll.present()) < 2:
            await asyncio.sleep(0.02)
    yield client
    if await stops_in_force(client):
        await resume_work(client, everyone=True)


def marked() -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and line[:2] == ["sleep", MARK]:
            found.append(process.pid)
    return found


async def test_everything_stops_and_goes_on(calm: Client) -> None:
    client, plan = calm, layered(3, 6, sleep_s=0.15)
    once = tuple(spec.model_copy(update={"retry": RetryPolicy(max_attempts=1)}) for spec in plan.tasks)
    mission = await client.submit("to be stopped", plan=Plan(tasks=once))
    await until(mission, of("task.succeeded"), count=3)
    report = await stop_work(client, everyone=True, reason="a drill")
    assert report.complete, report
    assert len(report.acknowledged) >= 2
    assert [stop.reason for stop in await stops_in_force(client)] == ["a drill"]
    stopped_at = await client.bus.log.last_sequence()
    later = await client.submit("waits", plan=Plan(tasks=(TaskSpec(id="only", skill="echo"),)))
    await until(later, of("task.ready"))
    before = await client.bus.log.last_sequence()
    assert await resume_work(client, everyone=True) == ()
    assert (await mission.outcome(timeout_s=60)).status == "completed"
    assert (await later.outcome(timeout_s=60)).status == "completed"
    events = await history(mission)
    check_counted_once(events, plan)
    begun = [e.sequence for e in (*events, *await history(later)) if e.type == "attempt.started"]
    assert not [place for place in begun if stopped_at < place <= before]
    cancelled = [e.data_as_dict() for e in events if e.type == "attempt.finished" and "failure" in e.data_as_dict()]
    assert {one["failure"]["code"] for one in cancelled} <= {"stopped"}
    # What a worker had in hand when it heard of the stop may have come to its end in the same moment.
    assert {(one["task"], one["attempt"]) for one in cancelled} <= {(one.task, one.attempt) for one in report.attempts}


async def test_a_sandbox_dies_with_all_its_descendants(calm: Client) -> None:
    inputs = {"argv": ["python3", "-c", ESCAPES]}
    plan = Plan(tasks=(TaskSpec(id="only", skill="command", inputs=inputs, retry=RetryPolicy(max_attempts=1)),))
    mission = await calm.submit("escapes", plan=plan)
    async with asyncio.timeout(30):
        while len(marked()) < 2:
            await asyncio.sleep(0.02)
    report = await stop_work(calm, mission=mission.id, reason="enough")
    assert report.complete, report
    assert [one.task for one in report.attempts] == ["only"]
    assert marked() == []
    await mission.cancel()
    assert task(await mission.outcome(timeout_s=20)).status == "cancelled"


async def test_only_what_is_stopped_can_be_resumed(calm: Client) -> None:
    with pytest.raises(Refused, match="nothing is stopped"):
        await resume_work(calm, mission="nothing-here")


async def test_an_agent_is_stopped_and_the_others_go_on(calm: Client) -> None:
    report = await stop_work(calm, agent="echo", reason="it babbles")
    assert report.complete, report
    held = await calm.submit("waits", plan=Plan(tasks=(TaskSpec(id="only", skill="echo"),)))
    inputs = {"argv": ["true"]}
    free = await calm.submit("goes", plan=Plan(tasks=(TaskSpec(id="only", skill="command", inputs=inputs),)))
    assert (await free.outcome(timeout_s=30)).status == "completed"
    assert not [event for event in await history(held) if event.type == "attempt.started"]
    await resume_work(calm, agent="echo")
    assert (await held.outcome(timeout_s=30)).status == "completed"
