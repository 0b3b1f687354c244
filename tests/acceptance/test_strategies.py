"""Strategies on a real stack: chosen, overridden, recorded, and compared on recorded missions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stigmergy import Client
from stigmergy.cli.main import run as stig
from tests.acceptance.missions import data, history
from tests.acceptance.stack import Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_TEMPLATE = """
workflow: greetings
inputs: {names: array, slow: {type: number, default: 0.4}}
strategies:
  hierarchical:
    groups:
      each:
        for_each: "${inputs.names}"
        as: name
        tasks:
          greet: {skill: echo, inputs: {text: "Hello, ${name}", sleep_s: 0.01}}
    result: {said: "${each[*].greet.output.text}"}
  peer:
    tasks:
      greet: {skill: echo, inputs: {names: "${inputs.names}", sleep_s: "${inputs.slow}"}}
    result: {said: "${greet.output.names}"}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("strategies")) as made:
        yield made


@pytest.fixture
def template(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "greetings.yaml"
    path.write_text(_TEMPLATE)
    return str(path)


def ran(*arguments: str) -> int:
    """In this thread: `stig run` takes the signals, which only the first thread may."""
    return stig(list(arguments))


def firsts(stack: Stack, *missions: str) -> list[dict[str, Any]]:
    """What the first event of each mission says, and that of its planning, in one."""

    async def read() -> list[dict[str, Any]]:
        async with Client(stack.settings) as client:
            events = [await history(client.mission(mission)) for mission in missions]
        return [{**data(one[0]), **next(data(e) for e in one if e.type == "mission.planned")} for one in events]

    return asyncio.run(read())


def missions(stack: Stack) -> set[str]:
    async def read() -> set[str]:
        async with Client(stack.settings) as client:
            return {row.id for row in await client.missions()}

    return asyncio.run(read())


def test_the_choice_is_recorded_and_can_be_overridden(
    stack: Stack, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("--input", f"names={json.dumps(list('abcdef'))}", "--json")
    chosen = []
    for more in ((), ("--strategy", "peer"), ("--strategy", "auto", "--input", "slow=0")):
        assert ran("run", template, *names, *more) == 0
        view = json.loads(capsys.readouterr().out)
        chosen.append((view["strategy"]["name"], view["strategy"]["chosen"], view["workflow"]))
    by_itself, asked = ("hierarchical", "auto", "greetings"), ("peer", "submission", "greetings")
    assert chosen == [by_itself, asked, by_itself]
    [planned] = firsts(stack, view["id"])
    assert "points for hierarchical: breadth" in planned["plan"]["strategy"]["because"]
    assert ran("run", "hello", "--strategy", "peer") == 2
    assert "has no strategies" in capsys.readouterr().err
    assert ran("mission", "show", view["id"]) == 0
    assert "strategy hierarchical: +" in capsys.readouterr().out
    assert ran("run", template, "--strategy", "swarm") == 2
    assert "there are: auto, hierarchical, peer" in capsys.readouterr().err


def test_a_trial_runs_recorded_missions_both_ways_and_says_which_is_better(
    stack: Stack, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = missions(stack)
    assert ran("run", template, "--input", 'names=["x"]', "--quiet") == 0
    capsys.readouterr()
    assert ran("ab", template, "--last", "1", "--repeat", "6", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["a"], said["b"], len(said["pairs"]), said["unpaired"]) == ("hierarchical", "peer", 6, [])
    measures = {measure["name"]: measure for measure in said["comparison"]["measures"]}
    assert (measures["success"]["a"], measures["success"]["b"], measures["success"]["p"]) == (1.0, 1.0, 1.0)
    # The recorded mission says that the one large task sleeps for 0.4 s, and the small ones for 0.01 s.
    assert measures["critical_s"]["b"] >= 0.4 > measures["critical_s"]["a"] >= 0.01
    assert measures["critical_s"]["p"] == 2 / 2**6
    assert measures["attempts"]["a"] == measures["attempts"]["b"] == 1
    assert said["comparison"]["verdict"]
    assert len(missions(stack) - before) == 1 + 12
    labels = [said["labels"] for said in firsts(stack, *(run["mission"] for pair in said["pairs"] for run in pair))]
    assert {one["trial"] for one in labels} == {said["trial"]}
    assert [one["trial.side"] for one in labels] == ["a", "b"] * 6
    assert ran("ab", "--of", said["trial"], "--json") == 0
    assert json.loads(capsys.readouterr().out) == said
    assert ran("ab", "--of", said["trial"]) == 0
    shown = capsys.readouterr().out
    assert said["comparison"]["verdict"] in shown
    assert "critical path" in shown


def test_a_run_that_takes_too_long_has_failed(stack: Stack, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    endless = ("--input", "names=[]", "--input", "slow=300")
    assert ran("run", template, *endless, "--strategy", "hierarchical", "--json") == 0
    mission = json.loads(capsys.readouterr().out)["id"]
    assert ran("ab", template, mission, "--timeout", "1.5", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    [(one, other)] = said["pairs"]
    assert (one["outcome"]["success"], other["outcome"]["success"]) == (True, False)
    assert said["comparison"]["better"] == ""
    assert said["comparison"]["verdict"].startswith("not enough missions: 1 pairs")


def test_what_cannot_be_compared_is_refused(stack: Stack, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in (
        ((), "name missions or a workflow"),
        (("hello", "--a", "peer"), "both sides are 'peer'"),
        (("hello", "--a", "auto"), "'auto' is no side"),
        (("nothing-of-the-kind",), "no mission of the workflow"),
        (("--of", "nothing"), "no trial 'nothing'"),
    ):
        assert ran("ab", *arguments) == 2
        assert says in capsys.readouterr().err
    assert ran("run", "hello", "--quiet") == 0
    assert ran("ab", "hello") == 2
    assert "has no strategies" in capsys.readouterr().err
