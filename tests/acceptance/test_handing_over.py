"""A task goes from one agent to another, and whatever dies on the way, it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import Event
from schemas.expectations import FilesChanged, FilesChangedWithin, OutputHas
from schemas.handoff import HandOffRule
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client, MissionHandle
from stigmergy.missions import MissionView
from tests.acceptance.conftest import _stack
from tests.acceptance.missions import data, history, of, task, until
from tests.acceptance.stack import Stack

pytestmark = pytest.mark.xdist_group("acceptance-handing")
AGENTS = str(Path(__file__).with_name("handing.py"))


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for made in _stack(tmp_path_factory.mktemp("handing"), split=True, pools=(), grace_s=8.0):
        made.pool(1, imports=(AGENTS,), name="givers", skills=["give", "ping"])
        made.pool(1, imports=(AGENTS,), name="takers", skills=["take", "pong"])
        made.await_ready()
        yield made


@pytest.fixture
def stack(module_stack: Stack) -> Stack:
    module_stack.mend()
    return module_stack


def plan(skill: str = "give", *, rule: HandOffRule | None = None, expects: Any = (), **inputs: Any) -> Plan:
    spec = TaskSpec(
        id="only",
        skill=skill,
        inputs={"to": "take", **inputs},
        expects=expects,
        hand_off=rule or HandOffRule(),
        retry=RetryPolicy(max_attempts=2, delay_s=0.05),
        timeout_s=60,
    )
    return Plan(tasks=(spec,))


async def ended(mission: MissionHandle, status: str = "completed") -> tuple[MissionView, list[Event]]:
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == status, outcome.failure
    return await mission.view(), await history(mission)


def check_taken_over(events: list[Event], *, attempts: list[int]) -> dict[str, Any]:
    """The receiver began with the tree of the offer, one attempt counted, and nothing was a failure of the task."""
    finished = {data(e)["attempt"]: data(e) for e in events if e.type == "attempt.finished"}
    [offer] = [one for one in finished.values() if one["outcome"] == "handed_off"]
    took = [data(e) for e in events if e.type == "agent.took_over"]
    assert {one["tree"] for one in took} == {offer["product"]["tree"]}
    assert {one["giver"] for one in took} == {offer["attempt"]}
    assert [e.type for e in events].count("task.handed_over") == 1
    assert [e.type for e in events].count("task.succeeded") == 1
    started = [data(e)["attempt"] for e in events if e.type == "attempt.started"]
    assert started == attempts
    return offer


async def test_workspace_notes_and_scratchpad_come_along(stack: Stack) -> None:
    expects = (OutputHas(keys=("found",)), FilesChangedWithin(patterns=("half.txt",)))
    async with Client(stack.settings) as client:
        mission = await client.submit("two halves", plan=plan(expects=expects))
        view, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2])
    said = task(view).output
    assert said["found"] == "the first half\n"
    assert (said["from"], said["attempt"], said["why"]) == ("give", 1, "I can do no more")
    assert said["notes"] == {"left": ["the second half"]}
    assert (said["tried"], said["turns"]) == ("everything", ["give"])
    assert task(view).skill == "take"
    assert [turn.skill for turn in task(view).handed] == ["give"]
    checked = next(data(e) for e in events if e.type == "world.confirmed")
    assert checked.get("checks", []) == ["files_changed_within"]  # what should be there in the end is not asked of half


async def test_it_comes_back_when_nobody_takes_it(stack: Stack) -> None:
    rule = HandOffRule(accept_within_s=0.5)
    async with Client(stack.settings) as client:
        view, events = await ended(await client.submit("for nobody", plan=plan(rule=rule, to="nobody-has-this")))
    said = task(view).output
    assert said["by"] == "giver"
    assert "no worker with the skill 'nobody-has-this' has taken it within 0.5 s" in said["returned"]
    assert said["told"] == [said["returned"]]
    assert said["file"] == "the first half\n"
    [back] = [data(e) for e in events if e.type == "task.handed_back"]
    assert (back["skill"], back["to"], back["failure"]["code"]) == ("give", "nobody-has-this", "not_accepted")
    assert [data(e)["attempt"] for e in events if e.type == "attempt.started"] == [1, 3]


async def test_the_plan_says_to_whom(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        rule = HandOffRule(to=("somebody-else",))
        view, _ = await ended(await client.submit("not to them", plan=plan(rule=rule)))
    assert task(view).output["told"] == [
        "not handed to take: the plan lets it be handed to somebody-else, not to 'take'"
    ]


async def test_what_may_not_be_changed_may_not_be_handed_on(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        base = await _tree(client)
        spec = plan(expects=(FilesChangedWithin(patterns=("half.txt",)),), file="b.txt", stubborn=True).tasks[0]
        spec = spec.model_copy(update={"workspace": "${inputs.tree}"})
        mission = await client.submit("forbidden", plan=Plan(tasks=(spec,)), inputs={"tree": base})
        _, events = await ended(mission, "failed")
    assert "task.handed_over" not in [e.type for e in events]
    [violated] = [data(e) for e in events if e.type == "world.violated"]
    assert violated["violations"][0]["category"] == "unexpected_change"


async def _tree(client: Client) -> dict[str, Any]:
    """A workspace with ``a.txt`` in it, as a task of its own makes one."""
    spec = TaskSpec(id="only", skill="give", inputs={"to": "nobody", "file": "a.txt"}, hand_off=HandOffRule(to=()))
    mission = await client.submit("a tree", plan=Plan(tasks=(spec,)))
    _, events = await ended(mission)
    tree: dict[str, Any] = [data(e) for e in events if e.type == "attempt.finished"][-1]["product"]
    return tree


async def test_two_agents_cannot_hand_it_to_and_fro_for_ever(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        view, events = await ended(await client.submit("ping-pong", plan=plan("ping")), "failed")
    assert view.failure is not None
    assert "handed on for the 5. time" in view.failure.message
    types = [e.type for e in events]
    assert (types.count("task.handed_over"), types.count("task.handed_back")) == (3, 1)
    assert types.count("attempt.started") == 5


async def test_what_is_handed_over_counts_in_the_end(stack: Stack) -> None:
    """Files that the giver changed need not be changed again by the receiver."""
    async with Client(stack.settings) as client:
        base = await _tree(client)
        expects = (FilesChanged(patterns=("half.txt",)),)
        spec = plan(expects=expects).tasks[0].model_copy(update={"workspace": "${inputs.tree}"})
        mission = await client.submit("all of it", plan=Plan(tasks=(spec,)), inputs={"tree": base})
        _, events = await ended(mission)
    offer = check_taken_over(events, attempts=[1, 2])
    assert offer["observation"]["changes"] == {"half.txt": "added"}


# kills, at each step of the way


async def at_gate(mission: MissionHandle, who: str, count: int = 1) -> None:
    await until(
        mission, lambda e: e.type == "agent.acted" and data(e)["text"] == f"at the gate of the {who}", count=count
    )


async def test_the_giver_dies_before_its_offer(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "giver"
    async with Client(stack.settings) as client:
        mission = await client.submit("dies early", plan=plan(giver_gate=str(gate)))
        await at_gate(mission, "giver")
        stack["givers"].kill_all()
        gate.touch()
        stack.mend()
        _, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2, 3])


async def test_the_giver_dies_after_its_offer_and_nobody_is_there_to_decide(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "giver"
    async with Client(stack.settings) as client:
        mission = await client.submit("dies late", plan=plan(giver_gate=str(gate)))
        await at_gate(mission, "giver")
        stack["task-queue"].kill()
        stack["orchestrator"].kill()
        gate.touch()
        await until(mission, of("attempt.finished"))
        stack["givers"].kill_all()
        stack.mend()
        _, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2])


async def test_the_orchestrator_dies_between_verdict_and_acceptance(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "giver"
    async with Client(stack.settings) as client:
        mission = await client.submit("undecided", plan=plan(giver_gate=str(gate)))
        await at_gate(mission, "giver")
        stack["orchestrator"].kill()
        gate.touch()
        await until(mission, of("world.confirmed"))
        stack.mend()
        _, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2])


async def test_the_receivers_are_away_when_it_is_offered(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "giver"
    async with Client(stack.settings) as client:
        mission = await client.submit("nobody home", plan=plan(giver_gate=str(gate)))
        await at_gate(mission, "giver")
        stack["takers"].kill_all()
        gate.touch()
        await until(mission, of("task.handed_over"))
        stack.mend()
        _, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2])


async def test_the_receiver_dies_over_it(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "taker"
    async with Client(stack.settings) as client:
        mission = await client.submit("dies over it", plan=plan(taker_gate=str(gate)))
        await at_gate(mission, "taker")
        stack["takers"].kill_all()
        stack.mend()
        await at_gate(mission, "taker", count=2)
        gate.touch()
        view, events = await ended(mission)
    check_taken_over(events, attempts=[1, 2, 3])
    assert task(view).output["found"] == "the first half\n"


async def test_everything_dies_after_the_acceptance(stack: Stack, tmp_path: Path) -> None:
    gate = tmp_path / "taker"
    async with Client(stack.settings) as client:
        mission = await client.submit("all dies", plan=plan(taker_gate=str(gate)))
        await until(mission, of("task.handed_over"))
    stack.kill_everything()
    gate.touch()
    stack.mend()
    async with Client(stack.settings) as client:
        _, events = await ended(client.mission(mission.id))
    offer = check_taken_over(events, attempts=[e for e in (1, 2, 3) if e in _started(events)])
    assert offer["attempt"] == 1


def _started(events: list[Event]) -> list[int]:
    return [data(e)["attempt"] for e in events if e.type == "attempt.started"]
