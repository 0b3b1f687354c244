"""The capability registry at work: skills that agents learn, skills that fade, and who is preferred and why."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.plan import Plan, Prefer, RetryPolicy, TaskSpec
from stigmergy import Client
from stigmergy.cli.main import run as stig
from tests.acceptance.missions import data, history, one, task
from tests.acceptance.stack import Process, Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_WITHIN_S = 60.0
_LEARNERS = str(Path(__file__).with_name("learners.py"))
_SUCCESSORS = str(Path(__file__).with_name("successors.py"))


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("capabilities"), pools=()) as stack:
        yield stack


async def said(client: Client, plan: Plan, name: str = "only") -> dict[str, object]:
    """What the task of a mission gave."""
    outcome = await (await client.submit("try", plan=plan)).outcome(timeout_s=_WITHIN_S)
    assert outcome.status == "completed", outcome.failure
    return task(outcome, name).output


def end(*processes: Process) -> None:
    for process in processes:
        process.end()


@pytest.mark.parametrize("kind", ["prefork", "threads"])
async def test_a_learned_skill_is_offered_by_the_pool_and_kept(roles: Stack, kind: str) -> None:
    kept, passing = f"kept-{kind}", f"passing-{kind}"
    pool = roles.pool(2, imports=(_LEARNERS,), name=f"first-{kind}", kind=kind, skills=["study"])
    pool.await_ready()
    async with Client(roles.settings) as client:
        assert await said(client, one("study", subject=kept, keep=True)) == {"new": True}
        assert await said(client, one("study", subject=kept, keep=True)) == {"new": False}
        assert await said(client, one("study", subject=passing, keep=False)) == {"new": True}
        assert "no skill" in str(await said(client, one("study", subject="no skill", keep=False)))
        many = tuple(TaskSpec(id=f"t{n}", skill=(kept, passing)[n % 2]) for n in range(8))
        outcome = await (await client.submit("use it", plan=Plan(tasks=many))).outcome(timeout_s=_WITHIN_S)
        assert [t.output["done"] for t in sorted(outcome.tasks, key=lambda t: t.id)] == [kept, passing] * 4
        end(pool)
        again = roles.pool(2, imports=(_LEARNERS,), name=f"again-{kind}", kind=kind, skills=["study"])
        again.await_ready()
        assert await said(client, one(kept)) == {"done": kept, "by": "pupil"}
        offered = {skill for beat in await client.workers() for skill in beat.skills}
        assert {"study", kept} <= offered
        assert passing not in offered
    end(again)


async def test_a_deprecated_skill_fades(
    roles: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in roles.settings.environment().items():
        monkeypatch.setenv(name, value)
    old = roles.pool(1, imports=(_LEARNERS,), name="old", skills=["greet"])
    old.await_ready()
    async with Client(roles.settings) as client:
        alone = await client.submit("greet", plan=one("greet"))
        assert task(await alone.outcome(timeout_s=_WITHIN_S)).output == {"by": "veteran"}
        [dispatched] = [data(e) for e in await history(alone) if e.type == "action.dispatched"]
        assert dispatched["warning"] == "greet is deprecated by everybody who offers it: use echo"
        new = roles.pool(1, imports=(_SUCCESSORS,), name="new", skills=["greet"])
        new.await_ready()
        async with asyncio.timeout(_WITHIN_S):
            while not any("greet" in b.skills and not b.deprecated for b in await client.workers(listen_s=0.6)):
                continue
        tasks = tuple(TaskSpec(id=f"t{n}", skill="greet") for n in range(6))
        both = await client.submit("greet", plan=Plan(tasks=tasks))
        outcome = await both.outcome(timeout_s=_WITHIN_S)
        assert {t.output["by"] for t in outcome.tasks} == {"successor"}
        end(new)  # what is old is better than nothing
        assert await said(client, one("greet")) == {"by": "veteran"}
        assert await asyncio.to_thread(stig, ["explain", alone.id, "only"]) == 0
        assert "warning: greet is deprecated" in capsys.readouterr().out
        assert await asyncio.to_thread(stig, ["workers", "skills", "--json"]) == 0
        rows = {(row["skill"], row["agent"]): row for row in json.loads(capsys.readouterr().out)}
        assert rows["greet", "veteran"]["deprecated"] == "use echo"
        assert rows["greet", "successor"]["success_rate"] == 1.0
    end(old)


async def test_a_plan_says_what_it_prefers(
    roles: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in roles.settings.environment().items():
        monkeypatch.setenv(name, value)
    pools = []
    for kind in ("cheap", "dear"):
        settings, roles.settings = roles.settings, roles.settings.model_copy(update={"state_dir": tmp_path / kind})
        pools.append(roles.pool(1, imports=(_LEARNERS,), name=kind, skills=["quote"], labels={"kind": kind}))
        roles.settings = settings
    for pool in pools:
        pool.await_ready()
    async with Client(roles.settings) as client:
        for kind in ("dear", "cheap"):  # one after the other: the first failure ends a mission, and what is not begun
            tries = tuple(
                TaskSpec(id=f"{kind}{n}", skill="quote", requires={"kind": kind}, retry=RetryPolicy(max_attempts=1))
                for n in range(10)
            )
            mission = await client.submit(f"try {kind}", plan=Plan(tasks=tries))
            await mission.outcome(timeout_s=_WITHIN_S)
        chosen = {}
        for name, prefer in (("good", Prefer(quality=5)), ("cheap", Prefer(quality=0.1, cost=5))):
            mission = await client.submit(name, plan=Plan(tasks=one("quote").tasks, prefer=prefer))
            outcome = await mission.outcome(timeout_s=_WITHIN_S)
            chosen[name] = task(outcome).output["cheap"]
        assert chosen == {"good": False, "cheap": True}
        capsys.readouterr()
        assert await asyncio.to_thread(stig, ["explain", mission.id, "only", "--json"]) == 0
        steps = json.loads(capsys.readouterr().out)
        [told] = [step for step in steps if step["event"] == "action.dispatched"]
        best, other = told["candidates"]
        assert best["host"] == socket.gethostname() == other["host"]
        assert best["terms"]["cost"] == 5.0
        assert other["terms"]["cost"] == pytest.approx(0.05)
        assert best["points"] == pytest.approx(sum(best["terms"].values()))
        assert f"has {best['points']:g} points" in told["says"]
        assert await asyncio.to_thread(stig, ["explain", mission.id, "only"]) == 0
        assert "quality" in capsys.readouterr().out
    end(*pools)
