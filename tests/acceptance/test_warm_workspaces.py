"""Who goes on with a workspace: the machine that has it while it is idle, whoever is idle while it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.plan import Plan, TaskSpec
from stigmergy import Client, MissionHandle
from stigmergy.cli.main import run as stig
from tests.acceptance.missions import data, history, of, until
from tests.acceptance.repositories import repository, snapshot_of
from tests.acceptance.stack import Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_WITHIN_S = 60.0
_HOG_S = 15.0
_AGENTS = str(Path(__file__).with_name("deciders.py"))
HOSTS = ("north", "south")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker on each of two machines, as far as anybody can tell, each with a cache of its own."""
    folder = tmp_path_factory.mktemp("warm")
    with running(folder, pools=()) as stack:
        settings = stack.settings
        for host in HOSTS:
            stack.settings = settings.model_copy(update={"state_dir": folder / host})
            stack.pool(1, imports=(_AGENTS,), name=host, skills=["make"], host=host)
        stack.settings = settings
        stack.await_ready()
        yield stack


def make(name: str, *needs: str, host: str = "", **does: Any) -> TaskSpec:
    """A task on the mission's workspace, or on what ``first`` made of it."""
    return TaskSpec(
        id=name,
        skill="make",
        needs=needs,
        inputs={"does": [does]},
        requires={"host": host} if host else {},
        workspace="${first.workspace}" if "first" in needs else "${inputs.workspace}",
    )


async def submit(client: Client, folder: Path, *tasks: TaskSpec) -> MissionHandle:
    """A mission on a workspace that nobody has seen yet."""
    snapshot = await snapshot_of(client, repository(folder, {"name.txt": str(folder)}))
    return await client.submit("make", plan=Plan(tasks=tasks), inputs={"workspace": snapshot})


async def made_by(client: Client, mission: MissionHandle) -> dict[str, str]:
    """On which machine each task of a mission was begun."""
    hosts = {beat.worker: beat.host for beat in await client.workers(listen_s=1.1)}
    return {str(e.subject): hosts[data(e)["worker"]] for e in await history(mission) if e.type == "attempt.started"}


async def dispatched(mission: MissionHandle, task: str) -> dict[str, Any]:
    [event] = [data(e) for e in await history(mission) if e.type == "action.dispatched" and e.subject == task]
    return event


async def test_what_comes_next_goes_where_the_workspace_is(
    machines: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in machines.settings.environment().items():
        monkeypatch.setenv(name, value)
    async with Client(machines.settings) as client:
        for number in range(6):
            host = HOSTS[number % 2]
            first = make("first", host=host, files={"made.txt": str(number)})
            mission = await submit(client, tmp_path / str(number), first, make("second", "first"))
            assert (await mission.outcome(timeout_s=_WITHIN_S)).status == "completed"
            assert await made_by(client, mission) == {"first": host, "second": host}
            warm, cold = (await dispatched(mission, "second"))["candidates"]
            assert (warm["host"], warm["terms"]["warm"]) == (host, 0.5)
            assert "warm" not in cold["terms"]
        assert await asyncio.to_thread(stig, ["explain", mission.id, "second"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "some have its workspace" in said
        assert f"on {host} has" in said
        assert await asyncio.to_thread(stig, ["explain", mission.id, "second", "--json"]) == 0
        steps = json.loads(capsys.readouterr().out)
        assert [step["candidates"][0]["host"] for step in steps if "candidates" in step] == [host]


async def test_nobody_waits_for_a_machine_that_is_busy(machines: Stack, tmp_path: Path) -> None:
    async with Client(machines.settings) as client:
        # Once the first is done, its machine is given something long; only then the second may begin.
        hog = make("hog", "first", host="north", sleep_s=_HOG_S)
        brief = make("brief", "first", host="south", sleep_s=1.0)
        first = make("first", host="north", files={"made.txt": "!"})
        mission = await submit(client, tmp_path / "w", first, hog, brief, make("second", "first", "brief"))
        await until(mission, of("attempt.started", "second"), within_s=_HOG_S - 5)
        assert (await made_by(client, mission))["second"] == "south"
        await mission.cancel("seen")


async def test_what_was_bound_to_a_machine_that_got_busy_meanwhile_goes_to_another(
    machines: Stack, tmp_path: Path
) -> None:
    async with Client(machines.settings) as client:
        brief = await submit(client, tmp_path / "b", make("brief", host="south", sleep_s=3.0))
        first = make("first", host="north", sleep_s=1.0, files={"made.txt": "?"})
        mission = await submit(client, tmp_path / "w", first, make("second", "first"))
        for one, task in ((brief, "brief"), (mission, "first")):
            await until(one, of("attempt.started", task))
        # It lies in the queue for everybody when the machine is done, which takes it before anybody knows.
        hog = await submit(client, tmp_path / "h", make("hog", sleep_s=_HOG_S))
        await until(hog, of("action.dispatched"))
        # Perhaps it was bound to that machine before it was known to be busy: then it is sent to everybody as well.
        await until(mission, of("attempt.started", "second"), within_s=_HOG_S - 5)
        assert (await made_by(client, mission))["second"] == "south"
        await hog.cancel("seen")
