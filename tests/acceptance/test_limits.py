"""Memory and processor time: what an attempt uses is seen, whoever uses it, and ends at the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.events.attempt import AttemptFinished
from schemas.expectations import Expectation, MaxCpu, MaxMemory, TestsPass
from schemas.plan import Plan, RecoveryRule, RetryPolicy, TaskSpec
from stigmergy import Client, MissionHandle
from stigmergy.violations import violations_of
from tests.acceptance.missions import data, history, of, task
from tests.acceptance.repositories import repository, snapshot_of

pytestmark = pytest.mark.xdist_group("acceptance")
EATS = "held = [b'x' * 2**20 for _ in range(400)]; import time; time.sleep(20)"
BURNS = "import time\nuntil = time.monotonic() + 20\nwhile time.monotonic() < until: pass"
BURNS_IN_TWO = f"import os\nos.fork()\n{BURNS}"


async def made(
    client: Client, skill: str, *expects: Expectation, recover: tuple[RecoveryRule, ...] = (), **inputs: Any
) -> MissionHandle:
    spec = TaskSpec(
        id="only", skill=skill, inputs=inputs, expects=expects, recover=recover, retry=RetryPolicy(max_attempts=1)
    )
    return await client.submit("limits", plan=Plan(tasks=(spec,)))


async def reports(mission: MissionHandle) -> list[AttemptFinished]:
    return [AttemptFinished.model_validate(data(e)) for e in await history(mission) if of("attempt.finished")(e)]


@pytest.mark.parametrize(
    ("program", "limit", "ended_by"),
    [
        (EATS, MaxMemory(megabytes=100), "memory"),
        (BURNS, MaxCpu(seconds=1), "cpu"),
        (BURNS_IN_TWO, MaxCpu(seconds=1), "cpu"),
    ],
)
async def test_a_program_is_killed_at_the_limit(
    client: Client, program: str, limit: Expectation, ended_by: str
) -> None:
    mission = await made(client, "command", limit, argv=["/usr/bin/python3", "-c", program])
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "failed"
    [report] = await reports(mission)
    assert report.output["ended_by"] == ended_by
    assert report.observation.duration_s < 15
    assert [row.category for row in violations_of(await history(mission))] == ["limit_exceeded"]


@pytest.mark.parametrize(
    ("skill", "inputs", "limit"),
    [
        ("hungry", {"megabytes": 400}, MaxMemory(megabytes=100)),
        ("burns", {"seconds": 20}, MaxCpu(seconds=1)),
    ],
)
async def test_an_agent_is_stopped_at_the_limit(
    client: Client, skill: str, inputs: dict[str, Any], limit: Expectation
) -> None:
    mission = await made(client, skill, limit, **inputs)
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "failed"
    [report] = await reports(mission)
    assert report.failure is not None
    assert (report.outcome, report.failure.code) == ("failed", "limit_exceeded")
    seen = report.observation
    assert seen.duration_s < 15
    if isinstance(limit, MaxMemory):
        assert (seen.peak_memory_bytes or 0) > 300 * 2**20
    else:
        assert (seen.cpu_s or 0) > 1


async def test_a_recovery_rule_for_limits_fits_an_agent_that_was_stopped_at_one(client: Client) -> None:
    again = (RecoveryRule(category="limit_exceeded", do="retry_with_feedback"),)
    mission = await made(client, "hungry", MaxMemory(megabytes=100), recover=again, megabytes=400)
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "completed"  # it is hungry in its first attempt only
    [retried] = [data(event) for event in await history(mission) if of("task.retried")(event)]
    assert [violation["category"] for violation in retried["feedback"]] == ["limit_exceeded"]


async def test_a_suite_is_killed_at_the_limit(client: Client, tmp_path: Path) -> None:
    eats = f"def test_a():\n    {EATS.replace('; ', chr(10) + '    ')}\n"
    workspace = await snapshot_of(client, repository(tmp_path, {"tests/test_a.py": eats, "a.py": ""}))
    expects = (TestsPass(), MaxMemory(megabytes=200))
    spec = TaskSpec(
        id="only", skill="test", workspace="${inputs.workspace}", expects=expects, retry=RetryPolicy(max_attempts=1)
    )
    mission = await client.submit("limits", plan=Plan(tasks=(spec,)), inputs={"workspace": workspace})
    await mission.outcome(timeout_s=120)
    found = {(row.kind, row.category) for row in violations_of(await history(mission))}
    assert ("max_memory", "limit_exceeded") in found


async def test_what_was_used_is_shown_for_every_attempt(client: Client) -> None:
    limits = (MaxCpu(seconds=30), MaxMemory(megabytes=1000))
    mission = await made(client, "burns", *limits, seconds=0.5)
    assert (await mission.outcome(timeout_s=60)).status == "completed"
    seen = task(await mission.view())
    assert seen.cpu_s is not None
    assert 0.05 < seen.cpu_s <= 30
    assert seen.peak_memory_bytes is not None
