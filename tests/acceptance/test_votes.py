"""Decisions by vote and parallel attempts, on real servers, with workers that die."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from orchestrator.planning import load_template
from schemas.errors import Refused
from schemas.plan import Plan
from stigmergy import Client, MissionHandle
from tests.acceptance.missions import data, history, of, task, until
from tests.acceptance.stack import ROOT, Stack

pytestmark = pytest.mark.xdist_group("acceptance")


def plan_of(tasks: str) -> Plan:
    return load_template(f"workflow: votes\ntasks:\n{tasks}", "votes.yaml").plan({})


async def submitted(client: Client, tasks: str) -> MissionHandle:
    return await client.submit("decide", plan=plan_of(tasks))


def stig(stack: Stack, *words: str) -> str:
    """What the command prints."""
    environment = {**os.environ, **stack.settings.environment(), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "stigmergy.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_four_vote_of_whom_one_dissents_and_one_is_killed(client: Client) -> None:
    mission = await submitted(
        client,
        """
  v:
    vote: {question: Ship it?, options: [ship, wait], voters: [{skill: elect, count: 4}], quorum: 3, deadline: 60s}
    inputs: {votes: [ship, wait, ship, die]}
    retry: {max_attempts: 1, max_deaths: 1}
""",
    )
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "completed", outcome.failure
    ballot = await mission.ballots.one("v")
    assert (ballot.choice, ballot.how, ballot.tally) == ("ship", "votes", {"ship": 2.0, "wait": 1.0})
    assert [(one.voter, one.choice, one.reason) for one in ballot.dissent] == [("v.2", "wait", "I am v.2")]
    assert ballot.absent == ("v.4",)
    assert ballot.turnout is not None
    assert (ballot.turnout.voted, ballot.turnout.members) == (3, 4)
    assert task(outcome, "v.4").status == "failed"
    assert [line.status for line in outcome.ballots] == ["decided"]


async def test_a_deadline_passes_the_straggler_is_stopped_and_a_person_decides(client: Client) -> None:
    mission = await submitted(
        client,
        """
  v:
    vote:
      question: Ship it?
      options: [ship, wait]
      voters: [{skill: elect, count: 2}]
      quorum: 2
      deadline: 6s
      undecided: ask
    inputs: {votes: [ship, sleep]}
""",
    )
    await until(mission, of("ballot.lapsed"))
    ballot = await mission.ballots.one("v")
    assert ballot.status == "asking"
    assert ballot.why.startswith("no quorum: ")
    await mission.ballots.settle("v", "wait", reason="too early", by="ann")
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed"
    assert task(outcome, "v.2").status == "cancelled"
    ballot = await mission.ballots.one("v")
    assert (ballot.choice, ballot.how, ballot.by, ballot.why) == ("wait", "person", "ann", "too early")
    if "v.2" in {event.subject for event in await history(mission) if event.type == "attempt.started"}:
        assert data(await until(mission, of("attempt.finished", "v.2")))["outcome"] == "cancelled"


async def test_people_open_a_ballot_and_vote_by_command(client: Client, shared: Stack) -> None:
    mission = await submitted(client, "  work: {skill: make, inputs: {does: [{sleep_s: 600}]}}\n")
    opening = ["-q", "Release today?", "-o", "yes", "-o", "no", "-v", "ann", "-v", "bob=2", "--rule", "two_thirds"]
    said = stig(shared, "ballot", "open", mission.id, "release", *opening)
    assert said.startswith("ballot release is open")
    stig(shared, "ballot", "vote", mission.id, "release", "no", "--as", "ann", "--reason", "Friday")
    stig(shared, "ballot", "vote", mission.id, "release", "yes", "--as", "ann")
    with pytest.raises(Refused, match="may not vote"):
        await mission.ballots.vote("release", "eve", "yes")
    await mission.ballots.vote("release", "bob", "yes", reason="it is green")
    with pytest.raises(Refused, match="too late"):
        await mission.ballots.vote("release", "ann", "no")
    shown = json.loads(stig(shared, "ballot", "show", mission.id, "release", "--json"))
    assert (shown["status"], shown["choice"], shown["tally"]) == ("decided", "yes", {"yes": 3.0, "no": 0.0})
    votes = [(vote["voter"], vote["choice"], vote["counts"]) for vote in shown["votes"]]
    assert votes == [("ann", "no", False), ("ann", "yes", True), ("bob", "yes", True)]
    assert "release" in stig(shared, "ballot", "list", mission.id)
    assert "Friday" in stig(shared, "ballot", "show", mission.id, "release")
    assert "release" in stig(shared, "mission", "show", mission.id)
    await mission.cancel()


async def test_an_agent_votes_while_it_works(client: Client) -> None:
    mission = await submitted(
        client,
        """
  v: {vote: {question: Q, options: [a, b], voters: [{agent: oracle}], quorum: 1, deadline: 30s}}
  work: {skill: ponder, inputs: {ballot: v, choice: b}}
""",
    )
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed"
    [vote] = (await mission.ballots.one("v")).votes
    assert (vote.voter, vote.choice, vote.task, vote.reason) == ("oracle", "b", "work", "it came to me")


async def test_the_first_wins_and_the_slow_one_is_stopped(client: Client) -> None:
    mission = await submitted(
        client,
        """
  fix:
    skill: make
    inputs: {does: [{sleep_s: 60}, {output: {n: 2}}]}
    attempts: {parallel: 2, pick: first}
""",
    )
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed"
    assert task(outcome, "fix").output == {"n": 2}
    assert task(outcome, "fix.1").status == "cancelled"
    started = [event for event in await history(mission) if event.type == "attempt.started"]
    if "fix.1" in {event.subject for event in started}:
        assert data(await until(mission, of("attempt.finished", "fix.1")))["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("how", "does", "taken", "winner"),
    [
        ("pick: best, score: output.n", [{"output": {"n": 1}}, {"output": {"n": 3}}, {"output": {"n": 2}}], 3, "fix.2"),
        ("pick: vote, agree: n", [{"output": {"n": 1}}, {"output": {"n": 7}}, {"output": {"n": 7}}], 7, "fix.2"),
    ],
)
async def test_one_is_picked(client: Client, how: str, does: list[Any], taken: int, winner: str) -> None:
    tasks = f"  fix: {{skill: make, inputs: {{does: {json.dumps(does)}}}, attempts: {{parallel: 3, {how}}}}}\n"
    mission = await submitted(client, tasks)
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed"
    assert task(outcome, "fix").output["n"] == taken
    [chosen] = [event for event in await history(mission) if event.type == "task.chosen"]
    assert data(chosen)["winner"] == winner


async def test_workspaces_are_merged_and_lists_united(client: Client) -> None:
    mission = await submitted(
        client,
        """
  base: {skill: make, inputs: {does: [{files: {"a.txt": "one", "b.txt": "two"}}]}}
  fix:
    skill: make
    workspace: "${base.workspace}"
    inputs:
      does:
        - {files: {"a.txt": "ONE"}, output: {found: [1]}}
        - {files: {"b.txt": "TWO"}, output: {found: [2]}}
    attempts: {parallel: 2, pick: merge}
  look: {skill: make, workspace: "${fix.workspace}", inputs: {does: [{}]}, expects: [files_unchanged]}
""",
    )
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "completed", outcome.failure
    assert task(outcome, "fix").output["found"] == [1, 2]
    assert task(outcome, "fix.merge").output["kept"] == ["fix.1", "fix.2"]
    trees = {
        data(event)["task"]: data(event)["product"]
        for event in await history(mission)
        if event.type == "attempt.finished"
    }
    chosen = [data(event) for event in await history(mission) if event.type == "task.chosen"]
    assert chosen[-1]["product"]["tree"] == trees["fix.merge"]["tree"]
    assert len({trees[name]["tree"] for name in ("base", "fix.1", "fix.2", "fix.merge")}) == 4


async def test_the_example_decides_as_its_page_says(shared: Stack) -> None:
    said = await asyncio.to_thread(stig, shared, "run", "examples/decide.yaml", "--json")
    result = json.loads(said.splitlines()[-1] if not said.lstrip().startswith("{") else said)["result"]
    assert result["slogan"] == "Traces that"
    assert [one["reason"] for one in result["against"]] == ["it has 4 words"]
