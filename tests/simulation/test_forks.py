"""Forks while everything goes wrong that may: replicas die, commands and messages are lost and doubled."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from events.port import Window
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.recalling import recorded
from schemas.commands import Command, ForkMission, RetryMission, SubmitMission
from schemas.envelope import Event
from schemas.forks import ForkChange
from schemas.ids import uuid7
from schemas.plan import Group, Plan, RetryPolicy, TaskSpec
from tests.simulation import worker
from tests.simulation.fates import RATES
from tests.simulation.fleet import Fleet
from tests.simulation.scenario import SKILLS, Scenario
from tests.simulation.sealed import sealed
from tests.simulation.virtual_time import VirtualLoop

_RETRY = RetryPolicy(max_attempts=100, delay_s=0.1, max_delay_s=1.0)


def _task(name: str, *needs: str, **inputs: str) -> TaskSpec:
    return TaskSpec(id=name, skill=SKILLS[0], needs=needs, inputs=inputs, retry=_RETRY, timeout_s=30)


PLAN = Plan(
    tasks=(
        _task("a"),
        *(_task(f"b{number}", "a", number=str(number)) for number in range(3)),
        _task("c", "a", "b0", by="${a.output.by}"),
        _task("last", "c", "g", by="${g[*].y.output.by}"),
    ),
    groups=(
        Group(
            id="g",
            items="${a.output.items}",
            needs=("a",),
            tasks=(_task("x", item="${item}"), _task("y", "x", by="${x.output.by}", item="${item}")),
        ),
    ),
)
KEPT = {"a", "b0", "b1", "b2", "c", "g.b.x", "g.b.y"}
"""What the change does not touch: the list of ``a`` is now b and z instead of a, b and a."""


async def events_of(fleet: Fleet, mission: str) -> list[Event]:
    return [event async for event in fleet.log.read(Window((f"events.default.{mission}.>",)))]


async def _until_completed(fleet: Fleet, mission: str) -> None:
    while True:
        await asyncio.sleep(0.5)
        _look(fleet)
        ended = fleet.checker.followed["default", mission].book.ended
        if ended == "completed":
            return
        if ended == "failed":
            await fleet.ask(RetryMission(id=uuid7(), mission=mission))


def _look(fleet: Fleet) -> None:
    for flaw in (fleet.checker.broken, fleet.failed):
        if flaw is not None:
            raise flaw


async def _play(scenario: Scenario) -> None:
    fleet = Fleet(scenario)
    fleet.start()
    try:
        async with asyncio.timeout(1500):
            await _granted(fleet, SubmitMission(id=uuid7(), mission="m1", objective="o", plan=PLAN))
            await _until_completed(fleet, "m1")
            events = await events_of(fleet, "m1")
            command = ForkMission(
                id=uuid7(),
                mission="f1",
                origin="m1",
                at=len(events),
                changes=(ForkChange(path="task.a.output.items", value=["b", "z"]),),
            )
            for _ in range(3):  # a command that comes again does what it does once
                await _granted(fleet, command)
            await _until_completed(fleet, "f1")
            fleet.calm_down()
            await asyncio.sleep(15)  # for those who are late
        _look(fleet)
        await fleet.checker.at_the_end(fleet.log, untroubled=False)
        await _check(fleet, events)
    finally:
        await fleet.close()


async def _granted(fleet: Fleet, command: Command) -> None:
    reply = await fleet.ask(command)
    assert reply is not None
    assert reply.accepted, reply.reason


async def _check(fleet: Fleet, origin: list[Event]) -> None:
    events = await events_of(fleet, "f1")
    said = Counter((event.type, event.subject) for event in events)
    assert said["mission.submitted", None] == said["mission.forked", None] == said["mission.planned", None] == 1
    adopted = {event.subject for event in events if event.type == "task.adopted"}
    assert adopted == KEPT
    assert all(said["task.adopted", task] == 1 for task in adopted)
    touched = {event.subject for event in events if event.type.partition(".")[0] in ("attempt", "action", "world")}
    assert touched == {"g.z.x", "g.z.y", "last"}
    mission = Mission(tenant="default", id="f1")
    for event in events:
        mission = evolve(mission, Fact.of(event))
    assert mission.status is MissionStatus.COMPLETED
    before = recorded("default", "m1", origin, len(origin)).now
    for task in KEPT - {"a"}:
        ours, theirs = mission.tasks[task].finished, before.tasks[task].finished
        assert ours is not None
        assert theirs is not None
        assert ours.output == theirs.output
    assert (await events_of(fleet, "m1"))[: len(origin)] == origin


def scenario(seed: int) -> Scenario:
    """Everybody twice, and everything goes wrong but the agents' word: the plan is to give the same each time."""
    spared = ("attempt_lies", "attempt_crashes", "nonsense")  # nonsense is said of scripts, and there are none
    rates = {kind: rate for kind, rate in RATES.items() if kind not in spared}
    return Scenario(seed, (), orchestrators=2, managers=2, workers=2, rough_s=0.0, rates=rates)


@pytest.mark.parametrize("seed", range(40))
def test_a_fork_takes_over_what_it_may_and_executes_the_rest_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LISTS", (["a", "b", "a"],))
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner, sealed(seed, loop.time):
        runner.run(_play(scenario(seed)))
