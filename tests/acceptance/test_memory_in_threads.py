"""Memory in pools of threads: who can hold it gets the task, and where nobody can it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from schemas.expectations import MaxMemory
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client
from stigmergy.cli.main import run as stig
from stigmergy.violations import violations_of
from tests.acceptance.missions import data, history
from tests.acceptance.stack import Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("threads"), pools=()) as stack:
        stack.pool(2, name="threads", kind="threads", skills=["echo"])
        stack.await_ready()
        yield stack


def limited(tasks: int = 1) -> Plan:
    return Plan(
        tasks=tuple(
            TaskSpec(
                id=f"t{number}",
                skill="echo",
                expects=(MaxMemory(megabytes=100),),
                retry=RetryPolicy(max_attempts=1),
            )
            for number in range(tasks)
        )
    )


async def test_a_limit_that_nobody_can_hold_is_said_before_and_found_violated_after(
    threads: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in threads.settings.environment().items():
        monkeypatch.setenv(name, value)
    async with Client(threads.settings) as client:
        mission = await client.submit("limited", plan=limited())
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "failed"
        [violation] = violations_of(await history(mission))
        assert "pools of threads cannot tell whose it is" in violation.observed
        assert await asyncio.to_thread(stig, ["explain", mission.id, "t0"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "warning: max_memory holds for programs in a sandbox only: the workers are threads" in said


async def test_processes_get_what_limits_memory(threads: Stack) -> None:
    pool = threads.pool(1, name="processes", skills=["echo"])
    pool.await_ready()
    async with Client(threads.settings) as client:
        async with asyncio.timeout(_WITHIN_S):
            while {beat.kind for beat in await client.workers(listen_s=0.6)} != {"threads", "prefork"}:
                continue
        kinds = {beat.worker: beat.kind for beat in await client.workers(listen_s=1.1)}
        mission = await client.submit("limited", plan=limited(6))
        assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
        started = [data(event) for event in await history(mission) if event.type == "attempt.started"]
        assert {kinds[event["worker"]] for event in started} == {"prefork"}
        [first, *_] = [data(event) for event in await history(mission) if event.type == "action.dispatched"]
        assert "can hold its max_memory, which threads cannot" in first["because"]
    pool.end()
