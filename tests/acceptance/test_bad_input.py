"""Whatever is sent in: a clear answer or a dead letter, and missions go on or end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest

from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidInput, PayloadTooLarge, Refused, StigmergyError, TimedOut
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from stigmergy import Client
from stigmergy.wiring import now
from tests.acceptance.missions import data, history, of, one, task, until

pytestmark = pytest.mark.xdist_group("acceptance")


async def ends(client: Client, plan: Plan, within_s: float = 30) -> Any:
    """How a mission with this plan ends."""
    mission = await client.submit("to an end", plan=plan)
    return await mission.outcome(timeout_s=within_s)


# messages


def event(**changes: Any) -> dict[str, Any]:
    """An event as any NATS client may send it."""
    plain = {
        "specversion": "1.0",
        "id": uuid7(),
        "source": "/somebody",
        "type": "task.succeeded",
        "time": rfc3339(now()),
        "tenant": "default",
        "mission": "m",
        "subject": "t0",
        "data": {"task": "t0", "attempt": 1},
    }
    return plain | changes


@pytest.mark.parametrize(
    ("verb", "raw"),
    [
        ("task.succeeded", b"\x00\xff not json"),
        ("task.succeeded", b""),
        ("task.succeeded", b"[]"),
        ("task.succeeded", b'{"specversion": "1.0"}'),
        ("task.succeeded", json.dumps(event(mission="another")).encode()),
        ("task.levitated", json.dumps(event(type="task.levitated")).encode()),
        ("task.succeeded", json.dumps(event(dataversion=99)).encode()),
        ("task.succeeded", json.dumps(event(data={"task": 7})).encode()),
        ("task.succeeded", json.dumps(event(data="text")).encode()),
        ("mission.submitted", b"{}"),
        ("attempt.finished", json.dumps(event(type="attempt.finished", data={"task": "t0", "attempt": -1})).encode()),
    ],
)
async def test_nonsense_on_the_log_stops_nobody(client: Client, verb: str, raw: bytes) -> None:
    mission = await client.submit("goes on", plan=one("echo", task="t0", sleep_s=0.2))
    changed = raw.replace(b'"mission": "m"', f'"mission": "{mission.id}"'.encode())
    await client.bus.nc.jetstream().publish(f"events.default.{mission.id}.{verb}", changed)
    outcome = await mission.outcome(timeout_s=20)
    assert (outcome.status, task(outcome, "t0").status) == ("completed", "succeeded")


async def test_what_is_no_event_is_found_among_the_dead_letters(client: Client) -> None:
    await client.bus.nc.jetstream().publish("events.default.m.task.succeeded", b"certainly no event")
    await ends(client, one("echo"))
    letters = [letter async for letter in client.bus.log.dead_letters()]
    assert any(letter.raw == b"certainly no event" and letter.code == "invalid_event" for letter in letters)


@pytest.mark.parametrize(
    "raw", [b"\xff\x00", b"{}", b'{"verb": "explode"}', b'{"verb": "submit", "objective": 1}', b""]
)
async def test_a_command_that_cannot_be_read_is_refused_and_kept(client: Client, raw: bytes) -> None:
    inbox = client.bus.nc.new_inbox()
    answers = await client.bus.nc.subscribe(inbox)
    headers = {"Stigmergy-Answer-To": inbox}
    await client.bus.nc.jetstream().publish("commands.default.submit", raw, headers=headers)
    answer = json.loads((await answers.next_msg(timeout=10)).data)
    assert not answer["accepted"]
    assert answer["code"] == "invalid_command"
    letters = [letter async for letter in client.bus.log.dead_letters()]
    assert any(letter.raw == raw and letter.code == "invalid_command" for letter in letters)


async def test_heartbeats_and_stops_that_cannot_be_read_are_passed_over(client: Client) -> None:
    for subject in ("heartbeats.somebody", "reflex.default.m"):
        await client.bus.nc.publish(subject, b"\xff nonsense")
    assert (await ends(client, one("echo"))).status == "completed"


async def test_the_client_refuses_events_that_are_not_the_users_to_write(client: Client) -> None:
    with pytest.raises(InvalidInput, match="only be written by"):
        await client.publish("task.succeeded", {"task": "t0", "attempt": 1}, mission="m")
    with pytest.raises(InvalidInput):
        await client.publish("note.unheard", {})


# submissions


async def test_a_workflow_that_does_not_exist(client: Client) -> None:
    with pytest.raises(StigmergyError, match="no-such") as caught:
        await client.submit("x", workflow="no-such")
    assert "repair" in caught.value.hint + caught.value.message


async def test_inputs_that_a_workflow_does_not_have(client: Client) -> None:
    with pytest.raises(StigmergyError, match="workspace"):
        await client.submit("x", workflow="repair")


async def test_a_cycle(client: Client) -> None:
    tasks = (TaskSpec(id="a", skill="echo", needs=("b",)), TaskSpec(id="b", skill="echo", needs=("a",)))
    with pytest.raises(StigmergyError, match=r"a.*b"):
        await client.submit("round and round", plan=Plan(tasks=tasks))


async def test_a_mission_id_that_is_taken(client: Client) -> None:
    mission = await client.submit("first", plan=one("echo"))
    with pytest.raises(Refused, match="exists already"):
        await client.submit("second", plan=one("echo"), mission=mission.id)


async def test_commands_to_missions_that_do_not_exist_or_have_ended(client: Client) -> None:
    with pytest.raises(Refused, match="there is no mission"):
        await client.mission("nobody").cancel()
    mission = await client.submit("short", plan=one("echo"))
    await mission.outcome(timeout_s=20)
    with pytest.raises(Refused, match="completed"):
        await mission.pause()
    with pytest.raises(Refused, match="only a failed mission"):
        await mission.retry()


async def test_a_skill_that_nobody_offers(client: Client) -> None:
    outcome = await ends(client, one("levitate"))
    assert outcome.status == "failed"
    assert "no worker offers the skill 'levitate'" in outcome.failure.message
    assert "echo" in outcome.failure.message


# outputs


async def test_a_large_output_travels_by_blob(client: Client) -> None:
    mission = await client.submit("large", plan=one("large", size=5_000_000))
    outcome = await mission.outcome(timeout_s=40)
    assert len(task(outcome).output["text"]) == 5_000_000
    state = await client.bus.nc.jetstream().stream_info("EVENTS")
    assert state.state.bytes < 50_000_000


async def test_an_output_over_the_limit_fails_with_the_reason(client: Client) -> None:
    outcome = await ends(client, one("large", size=25_000_000))
    assert outcome.status == "failed"
    assert "the limit is 20,000,000" in outcome.failure.message
    assert task(outcome).attempt == 1


async def test_an_event_over_the_limit_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.codec.PAYLOAD_LIMIT", 100_000)
    large = Event(**event(data=msgspec.Raw(b'"' + b"y" * 200_000 + b'"')))
    with pytest.raises(PayloadTooLarge, match="100,000"):
        await client.bus.log.append([large])


@pytest.mark.parametrize("kind", ["object", "list", "key", "surrogate", "endless"])
async def test_an_output_that_is_no_json(client: Client, kind: str) -> None:
    outcome = await ends(client, one("no-json", attempts=3, kind=kind))
    assert outcome.status == "failed"
    assert "output" in outcome.failure.message
    assert task(outcome).attempt == 1  # it will not get better


async def test_a_number_that_json_does_not_have(client: Client) -> None:
    outcome = await ends(client, one("no-json", kind="nan"))
    assert outcome.status == "completed"
    assert task(outcome).output == {"value": None}


# agents


@pytest.mark.parametrize("error", ["KeyError", "RecursionError", "MemoryError", "SystemExit"])
async def test_an_agent_that_raises_is_tried_again(client: Client, error: str) -> None:
    outcome = await ends(client, one("raises", attempts=3, error=error, until=1))
    assert (outcome.status, task(outcome).output) == ("completed", {"attempt": 2})


async def test_an_agent_that_always_raises_fails_after_its_attempts(client: Client) -> None:
    outcome = await ends(client, one("raises", attempts=2, error="KeyError"))
    assert outcome.status == "failed"
    assert "KeyError: 'on purpose'" in outcome.failure.message
    assert task(outcome).attempt == 2


async def test_an_agent_that_takes_its_process_with_it(client: Client) -> None:
    outcome = await ends(client, one("dies", attempts=2))
    assert (outcome.status, task(outcome).output) == ("completed", {"attempt": 2})


@pytest.mark.parametrize("how", ["checks", "sleeps", "swallows", "c"])
async def test_an_agent_that_hangs_is_stopped_tried_again_and_failed(client: Client, how: str) -> None:
    mission = await client.submit("hangs", plan=one("hangs", attempts=2, timeout_s=1, how=how))
    outcome = await mission.outcome(timeout_s=40)
    assert (outcome.status, outcome.failure.code if outcome.failure else "") == ("failed", "timed_out")
    assert task(outcome).attempt == 2
    assert "1 s" in task(outcome).reason
    assert (await ends(client, one("echo"))).status == "completed"


@pytest.mark.parametrize("how", ["checks", "sleeps", "swallows"])
async def test_cancelling_stops_the_agent_within_two_seconds(client: Client, how: str) -> None:
    mission = await client.submit("to be cancelled", plan=one("hangs", how=how))
    await until(mission, of("attempt.started"))
    begun = time.monotonic()
    await mission.cancel("changed my mind")
    finished = await until(mission, of("attempt.finished"), within_s=5)
    assert time.monotonic() - begun < 2
    assert data(finished)["outcome"] == "cancelled"
    outcome = await mission.outcome(timeout_s=5)
    assert (outcome.status, outcome.reason) == ("cancelled", "changed my mind")
    assert task(outcome).status == "cancelled"


async def test_pause_and_resume(client: Client) -> None:
    tasks = [
        TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.1}, needs=(f"t{n - 1}",) * (n > 0)) for n in range(6)
    ]
    mission = await client.submit("six in a row", plan=Plan(tasks=tuple(tasks)))
    await until(mission, of("task.succeeded"), count=2)
    await mission.pause("lunch")
    with pytest.raises(TimedOut, match="paused"):
        await mission.outcome(timeout_s=1)
    paused = await mission.view()
    running = [one.id for one in paused.tasks if one.status in ("running", "ready")]
    assert not running
    await mission.resume()
    outcome = await mission.outcome(timeout_s=20)
    assert outcome.status == "completed"
    types = [event.type for event in await history(mission)]
    between = types[types.index("mission.paused") : types.index("mission.resumed")]
    assert "task.ready" not in between


async def test_retrying_a_failed_mission(client: Client) -> None:
    mission = await client.submit("fails at first", plan=one("raises", attempts=1, error="KeyError", until=1))
    assert (await mission.outcome(timeout_s=20)).status == "failed"
    await mission.retry()
    outcome = await mission.outcome(timeout_s=20)
    assert (outcome.status, task(outcome).output) == ("completed", {"attempt": 2})


async def test_the_outcome_of_a_mission_that_does_not_exist(client: Client) -> None:
    with pytest.raises(InvalidInput, match="there is no mission"):
        await client.mission("nobody").outcome(timeout_s=20)


async def test_many_clients_at_once(client: Client) -> None:
    missions = await asyncio.gather(*(client.submit(f"number {n}", plan=one("echo", n=n)) for n in range(20)))
    outcomes = await asyncio.gather(*(mission.outcome(timeout_s=30) for mission in missions))
    assert [task(outcome).output["n"] for outcome in outcomes] == list(range(20))


async def test_nonsense_where_a_claim_should_be_costs_one_attempt(client: Client) -> None:
    name = uuid7()
    blocked = f"events.default.{name}.attempt.started.t0:1"
    await client.bus.nc.jetstream().publish(blocked, b"not a claim")
    plan = Plan(tasks=(TaskSpec(id="t0", skill="echo"),))
    mission = await client.submit("claimed at last", plan=plan, mission=name)
    outcome = await mission.outcome(timeout_s=45)
    assert (outcome.status, task(outcome, "t0").attempt) == ("completed", 2)
    [expired] = [data(e) for e in await history(mission) if e.type == "action.expired"]
    assert expired["failure"]["code"] == "unclaimable"
