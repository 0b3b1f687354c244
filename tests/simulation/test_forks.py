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
from schemas.commands import ForkMission, RetryMission, SubmitMission
from schemas.envelope import Event
from schemas.forks import ForkChange
from schemas.ids import uuid7
from schemas.plan import Group, Plan, RetryPolicy, TaskSpec
from tests.simulation.fleet import SKILL, Fleet
from tests.simulation.virtual_time import simulate

_RETRY = RetryPolicy(max_attempts=100, delay_s=0.1, max_delay_s=1.0)


def _task(name: str, *needs: str, **inputs: str) -> TaskSpec:
    return TaskSpec(id=name, skill=SKILL, needs=needs, inputs=inputs, retry=_RETRY, timeout_s=30)


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
        await fleet.check_alive()
        counts = await fleet.log.missions(("mission.completed", "mission.failed", "mission.reopened"))
        mine = counts.get(("default", mission), {})
        if "mission.completed" in mine:
            assert mine["mission.completed"] == 1
            return
        if mine.get("mission.failed", 0) > mine.get("mission.reopened", 0):
            await fleet.ask(RetryMission(id=uuid7(), mission=mission))


async def _play(seed: int) -> None:
    fleet = Fleet(seed)
    for start in (fleet.start_orchestrator, fleet.start_manager, fleet.start_worker) * 2:
        start()
    done = False
    fates = asyncio.create_task(fleet.misfortune(lambda: done))
    try:
        async with asyncio.timeout(900):
            assert (await fleet.ask(SubmitMission(id=uuid7(), mission="m1", objective="o", plan=PLAN))).accepted
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
                assert (await fleet.ask(command)).accepted
            await _until_completed(fleet, "f1")
            done = True
            await fates
            await asyncio.sleep(15)  # for those who are late
        await _check(fleet, events)
    finally:
        fates.cancel()
        await fleet.close()


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
    live = [desk.state for made in fleet.orchestrators.values() for desk in made.desks.all() if desk.mission == "f1"]
    assert live
    assert all(state == mission for state in live)
    before = recorded("default", "m1", origin, len(origin)).now
    for task in KEPT - {"a"}:
        ours, theirs = mission.tasks[task].finished, before.tasks[task].finished
        assert ours is not None
        assert theirs is not None
        assert ours.output == theirs.output
    assert (await events_of(fleet, "m1"))[: len(origin)] == origin


@pytest.mark.parametrize("seed", range(40))
def test_a_fork_takes_over_what_it_may_and_executes_the_rest_once(seed: int) -> None:
    simulate(_play(seed))
