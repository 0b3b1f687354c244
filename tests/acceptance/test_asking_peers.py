"""Agents ask agents of other workers, over a real bus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.cards import a2a_card
from schemas.envelope import Event
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client, MissionHandle
from stigmergy.fleet import joining, roll_call
from tests.acceptance.conftest import _stack
from tests.acceptance.missions import data, history, of, until
from tests.acceptance.stack import Stack

pytestmark = pytest.mark.xdist_group("acceptance-peers")
AGENTS = str(Path(__file__).with_name("handing.py"))


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for made in _stack(tmp_path_factory.mktemp("peers"), split=True, pools=(), grace_s=2.0):
        made.pool(2, imports=(AGENTS,), name="askers", skills=["ask"], kind="threads")
        made.pool(1, imports=(AGENTS,), name="east", skills=["east"])
        made.pool(1, imports=(AGENTS,), name="west", skills=["west"])
        made.await_ready()
        yield made


@pytest.fixture
def stack(module_stack: Stack) -> Stack:
    module_stack.mend()
    return module_stack


def plan(*questions: dict[str, Any]) -> Plan:
    return Plan(
        tasks=tuple(
            TaskSpec(id=f"t{number}", skill="ask", inputs=inputs, retry=RetryPolicy(max_attempts=1))
            for number, inputs in enumerate(questions)
        )
    )


async def said(client: Client, *questions: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Event]]:
    return await heard(await client.submit("asking", plan=plan(*questions)))


async def heard(mission: MissionHandle) -> tuple[list[dict[str, Any]], list[Event]]:
    """What the asking tasks said, and all events."""
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "completed", outcome.failure
    view = await mission.view()
    return [one.output for one in sorted(view.tasks, key=lambda one: one.id)], await history(mission)


def gated(folder: Path) -> tuple[dict[str, Any], Path]:
    """A question whose answer waits until the gate is there, and that gate."""
    gate = folder / "gate"
    return {"gate": str(gate), "begun": str(folder)}, gate


async def begun(folder: Path, *topics: str) -> None:
    """Return when answers about all these topics have begun."""
    async with asyncio.timeout(20):
        while not all((folder / topic).exists() for topic in topics):
            await asyncio.sleep(0.02)  # nothing but the file tells


def facts(events: list[Event], type_: str) -> list[dict[str, Any]]:
    return [data(event) for event in events if event.type == type_]


async def test_a_peer_answers_and_both_sides_are_on_record(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        [answer], events = await said(client, {"topic": "east", "question": {"a": 1}})
    assert answer == {"said": {"east": "default", "by": "asker", "text": "x"}}
    [asked], [answered], [came] = (facts(events, f"agent.{verb}") for verb in ("asked", "answered", "heard"))
    assert (asked["topic"], asked["question"], asked["by"]) == ("east", {"a": 1}, "asker")
    assert answered["request"] == asked["request"] == came["request"]
    assert (answered["outcome"], answered["agent"], answered["answer"]["text"]) == ("answered", "east", "x")
    assert came["worker"] == answered["worker"]
    places = [e.type for e in events if e.type.startswith("agent.a") or e.type == "agent.heard"]
    assert places[-2:] == ["agent.answered", "agent.heard"]  # nobody goes on with what is not on the log


async def test_a_certain_agent_is_asked(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        [one, other], _ = await said(
            client, {"topic": "east", "agent": "east"}, {"topic": "east", "agent": "nobody", "within_s": 5}
        )
    assert one["said"]["east"] == "default"
    assert other["error"] == "peer_unavailable"


async def test_large_questions_and_answers_go_by_the_blob_store(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        question = {"size": 1_500_000, "text": "y" * 100_000}
        [answer], events = await said(client, {"topic": "east", "question": question, "all": False})
    assert answer["said"] > 1_500_000
    assert len(facts(events, "agent.answered")) == 1


async def test_nobody_answers(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        [answer], events = await said(client, {"topic": "north", "within_s": 30})
    assert answer["error"] == "peer_unavailable"
    assert answer["message"] == "nobody answers 'north'"
    assert [one["outcome"] for one in facts(events, "agent.heard")] == ["unavailable"]


async def test_what_the_peer_raises_is_told(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        [answer], events = await said(client, {"topic": "east", "question": {"raises": True}})
    assert answer["error"] == "peer_failed"
    assert "east on" in answer["message"]
    assert "KeyError" in answer["message"]
    assert facts(events, "agent.answered")[0]["failure"]["code"] == "agent_error"


async def test_a_busy_peer_says_so_and_is_asked_again(stack: Stack, tmp_path: Path) -> None:
    question, gate = gated(tmp_path)
    async with Client(stack.settings) as client:
        first = await client.submit("long", plan=plan({"topic": "east", "question": question}))
        await begun(tmp_path, "east")
        second = await client.submit("too short", plan=plan({"topic": "east", "within_s": 1.0}))
        [answer], _ = await heard(second)
        assert answer["error"] == "peer_busy"
        assert "all who answer 'east' were busy" in answer["message"]
        assert "(1 of 1 in hand)" in answer["message"]
        third = await client.submit("patient", plan=plan({"topic": "east"}))
        await until(third, of("agent.asked"))
        gate.touch()
        [one], _ = await heard(first)
        [other], _ = await heard(third)
    assert one["said"]["east"] == other["said"]["east"] == "default"


async def test_two_that_ask_each_other_end_by_the_deadline(stack: Stack, tmp_path: Path) -> None:
    both, gate = gated(tmp_path)
    async with Client(stack.settings) as client:
        mission = await client.submit(
            "each other",
            plan=plan(
                {"topic": "east", "question": {**both, "ask_on": "west"}, "within_s": 3},
                {"topic": "west", "question": both, "within_s": 3},
            ),
        )
        await begun(tmp_path, "east", "west")  # both have their one hand full
        gate.touch()
        answers, events = await heard(mission)
    assert [answer["error"] for answer in answers] == ["peer_busy", "peer_busy"]
    assert all(answer["took_s"] < 3 + 5 for answer in answers)
    assert all("east" in answer["message"] or "west" in answer["message"] for answer in answers)
    # The workers are at hand again.
    async with Client(stack.settings) as client:
        [answer], _ = await said(client, {"topic": "east"})
    assert answer["said"]["east"] == "default"
    assert Counter(one["outcome"] for one in facts(events, "agent.heard"))["answered"] == 0


async def test_a_peer_that_dies_over_it_is_followed_by_another(stack: Stack, tmp_path: Path) -> None:
    question, gate = gated(tmp_path)
    async with Client(stack.settings) as client:
        mission = await client.submit("dies", plan=plan({"topic": "east", "question": question}))
        await begun(tmp_path, "east")
        stack["east"].kill_all()
        gate.touch()
        stack.mend()
        [answer], events = await heard(mission)
    assert answer.get("said", {}).get("east") == "default", answer
    assert len(facts(events, "agent.answered")) == 1


async def test_a_stop_ends_what_is_asked_and_what_is_answered(stack: Stack, tmp_path: Path) -> None:
    question, _ = gated(tmp_path)
    async with Client(stack.settings) as client:
        mission = await client.submit("stopped", plan=plan({"topic": "east", "question": question}))
        await begun(tmp_path, "east")
        await mission.cancel("enough")
        await until(mission, of("agent.answered"))
        events = await history(mission)
        assert [one["failure"]["code"] for one in facts(events, "agent.answered")] == ["cancelled"]
        [answer], _ = await said(client, {"topic": "east"})
    assert answer["said"]["east"] == "default"


async def test_what_is_answered_stands_on_the_card(stack: Stack) -> None:
    async with Client(stack.settings) as client, roll_call(client) as roll:
        beat = next(one for one in roll.present() if one.skills == ("east",))
        east = await joining(client, beat)
    assert [(card.topic, card.agent) for card in east.answers] == [("east", "east")]
    assert east.answers[0].description == "Whatever the question wants."
    skills = {skill["id"]: skill for skill in a2a_card(east, "default")["skills"]}
    assert skills["answers.east"]["tags"] == ["peer-request", "agent:east"]
