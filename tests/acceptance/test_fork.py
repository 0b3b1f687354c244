"""Forks on real servers and workers: what the change does not touch is not executed again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import Event
from schemas.errors import Refused
from stigmergy import Client, MissionHandle
from stigmergy.cli.main import run
from tests.acceptance.missions import data, history, of, one, task, until
from tests.acceptance.repositories import CONFLICTING, repository, snapshot_of
from tests.acceptance.stack import ROOT, Stack

pytestmark = pytest.mark.xdist_group("acceptance")


async def stig(*arguments: str) -> int:
    return await asyncio.to_thread(run, arguments)


async def followed(shared: Stack, *arguments: str) -> Any:
    """What a fork came to that is followed to its end; in a process, for following handles signals."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "stigmergy.cli", "fork", *arguments, "--follow", "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **shared.settings.environment(), "PYTHONPATH": str(ROOT)},
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return json.loads(said)


def number(events: list[Event], type_: str, subject: str | None = None) -> int:
    """The number of the first such event, from 1."""
    return next(n for n, event in enumerate(events, 1) if event.type == type_ and subject in (None, event.subject))


def executed(events: list[Event]) -> Counter[str | None]:
    """How often each task was started by a worker."""
    return Counter(event.subject for event in events if event.type == "attempt.started")


async def greeted(client: Client) -> tuple[MissionHandle, list[Event]]:
    mission = await client.submit("Greet", workflow="hello", inputs={"names": ["Ada", "Grace", "Barbara"]})
    assert (await mission.outcome(timeout_s=30)).status == "completed"
    return mission, await history(mission)


async def test_a_changed_list_unfolds_anew_and_only_what_is_new_is_executed(client: Client) -> None:
    mission, events = await greeted(client)
    at = number(events, "task.succeeded", "gather")
    fork = await client.fork(mission.id, at, changes={"task.gather.output.names": ["Grace", "Alan", "Ada"]})
    outcome = await fork.outcome(timeout_s=30)
    assert outcome.status == "completed", outcome.failure
    assert outcome.result == {"greetings": ["Hello, Grace!", "Hello, Alan!", "Hello, Ada!"]}
    assert outcome.forked_from == f"{mission.id}@{at}"
    made = await history(fork)
    assert executed(made) == {"greet.Alan.say": 1, "summary": 1}
    assert {task.id for task in outcome.tasks if task.reused_from} == {"gather", "greet.Ada.say", "greet.Grace.say"}
    assert {event.subject for event in made if event.type == "action.dispatched"} == {"greet.Alan.say", "summary"}
    assert await history(mission) == events


async def test_a_fork_without_a_change_executes_nothing(client: Client) -> None:
    mission, events = await greeted(client)
    fork = await client.fork(mission.id, len(events))
    outcome = await fork.outcome(timeout_s=30)
    assert outcome.status == "completed"
    assert outcome.result == (await mission.view()).result
    assert executed(await history(fork)) == {}
    again = await client.fork(mission.id, len(events), rerun=["summary"])
    assert (await again.outcome(timeout_s=30)).result == outcome.result
    assert executed(await history(again)) == {"summary": 1}


async def test_a_running_mission_is_forked_and_a_fork_is_forked(client: Client) -> None:
    mission = await client.submit("slow", plan=one("echo", sleep_s=3, text="first"))
    await until(mission, of("attempt.started"))
    events = await history(mission)
    fork = await client.fork(mission.id, len(events), changes={"task.only.output": {"text": "as if"}})
    outcome = await fork.outcome(timeout_s=30)
    assert task(outcome).output == {"text": "as if"}
    assert (await mission.view()).status == "running"
    second = await client.fork(fork.id, len(await history(fork)))
    assert task(await second.outcome(timeout_s=30)).output == {"text": "as if"}
    assert executed(await history(second)) == {}
    await mission.cancel()


async def test_a_failure_is_shared_after_it_and_tried_anew_before_it(client: Client) -> None:
    mission = await client.submit("fails", plan=one("raises", error="KeyError"))
    assert (await mission.outcome(timeout_s=30)).status == "failed"
    events = await history(mission)
    shared = await client.fork(mission.id, len(events))
    assert (await shared.outcome(timeout_s=30)).status == "failed"
    assert executed(await history(shared)) == {}
    anew = await client.fork(mission.id, number(events, "task.ready"))
    assert (await anew.outcome(timeout_s=30)).status == "failed"
    assert executed(await history(anew)) == {"only": 1}
    mended = await client.fork(mission.id, len(events), changes={"task.only.output": {"attempt": 7}})
    assert (await mended.outcome(timeout_s=30)).status == "completed"
    await shared.retry()
    assert (await shared.outcome(timeout_s=30)).status == "failed"
    assert executed(await history(shared)) == {"only": 1}


async def test_what_cannot_be_forked_is_refused_with_the_reason(client: Client) -> None:
    mission, events = await greeted(client)
    for at, changes, said in (
        (len(events) + 1, {}, "has no event"),
        (1, {}, "was not planned yet at event 1"),
        (10, {"task.nobody.output": {}}, "no task 'nobody'"),
        (len(events), {"task.gather.status": "x"}, "only the output"),
        (len(events), {"task.gather.output.a.b": 1}, "leads nowhere"),
    ):
        with pytest.raises(Refused, match=said):
            await client.fork(mission.id, at, changes=changes)
    with pytest.raises(Refused, match="there is no mission"):
        await client.fork("nobody", 1)


async def test_the_command_line_forks_previews_edits_and_compares(
    shared: Stack, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in shared.settings.environment().items():
        monkeypatch.setenv(name, value)
    mission, events = await greeted(client)
    at = str(number(events, "task.succeeded", "gather"))
    change = ("--at", at, "--set", 'task.gather.output.names=["Ada", "Alan"]')
    assert await stig("fork", mission.id, *change, "--dry-run", "--json") == 0
    fates = {one["task"]: one["fate"] for one in json.loads(capsys.readouterr().out)["tasks"]}
    assert fates == {"gather": "changed", "greet.Ada.say": "reused", "greet.Alan.say": "runs", "summary": "later"}
    assert await stig("fork", mission.id, *change, "--dry-run") == 0
    assert "nothing is on record of it" in capsys.readouterr().out
    shown = await followed(shared, mission.id, *change, "--id", f"f-{mission.id}")
    assert shown["result"] == {"greetings": ["Hello, Ada!", "Hello, Alan!"]}
    assert await stig("mission", "show", f"f-{mission.id}") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"forked from {mission.id}@{at}, 2 tasks taken over" in told
    assert await stig("mission", "list") == 0
    assert f"@{at}" in capsys.readouterr().out

    assert await stig("diff", mission.id, f"f-{mission.id}", "--json") == 1
    first = json.loads(capsys.readouterr().out)["first"]
    assert (first["type"], first["subject"], first["a"]) == ("task.adopted", "gather", int(at))
    assert "names" in first["fields"][0]

    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/Barbara/Edsger/' \"$1\"\n", encoding="utf-8")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    for chosen in (number(events, "task.succeeded", "gather"), number(events, "mission.extended")):
        assert await stig("fork", mission.id, "--at", str(chosen), "--edit", "--json") == 0
        begun = client.mission(json.loads(capsys.readouterr().out)["mission"])
        assert (await begun.outcome(timeout_s=30)).result == {
            "greetings": ["Hello, Ada!", "Hello, Grace!", "Hello, Edsger!"]
        }
    monkeypatch.setenv("EDITOR", "true")
    assert await stig("fork", mission.id, "--at", at, "--edit") == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert await stig("fork", mission.id, "--set", "nonsense") == 2
    assert await stig("fork", mission.id, "--at", "9999") == 2


async def test_a_repair_with_fewer_groups_runs_no_fix_again(client: Client, tmp_path: Path) -> None:
    folder = repository(tmp_path / "project", CONFLICTING)
    mission = await client.submit("repair", workflow="repair", inputs={"workspace": await snapshot_of(client, folder)})
    outcome = await mission.outcome(timeout_s=150)
    assert outcome.status == "completed", outcome.failure
    groups = task(outcome, "analyze").output["groups"]
    events = await history(mission)
    at = number(events, "task.succeeded", "analyze")
    fork = await client.fork(mission.id, at, changes={"task.analyze.output.groups": groups[:1]})
    ended = await fork.outcome(timeout_s=150)
    assert ended.status == "completed", ended.failure
    assert set(executed(await history(fork))) <= {"integrate", "verify"}
    assert task(ended, "integrate").output["kept"] == [groups[0]["id"]]
    adopted = {event.subject: data(event) for event in await history(fork) if event.type == "task.adopted"}
    assert adopted["baseline"]["output"] == task(outcome, "baseline").output
