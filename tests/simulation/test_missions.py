"""Whole fleets in one process, from one seed, with everything going wrong that may. A failure names its seed."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from events.port import Window
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.floor import Floor
from schemas.commands import PauseMission, ResumeMission, RetryMission, SubmitMission
from schemas.envelope import Event, rfc3339
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptStarted
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.events.world import WorldConfirmed
from schemas.expectations import OutputHas
from schemas.ids import uuid7
from schemas.plan import Group, Plan, RetryPolicy, TaskSpec
from tests.simulation.fleet import SKILL, Fleet
from tests.simulation.virtual_time import clock, simulate

KEY = ("default", "m1")
_RETRY = RetryPolicy(max_attempts=100, delay_s=0.1, max_delay_s=1.0)


def _task(name: str, *needs: str) -> TaskSpec:
    return TaskSpec(id=name, skill=SKILL, needs=needs, retry=_RETRY, timeout_s=30, expects=(OutputHas(keys=("by",)),))


PLAN = Plan(
    tasks=(
        _task("a"),
        *(_task(f"b{number}", "a") for number in range(4)),
        _task("c", "b0", "b1"),
        _task("last", "c", "g", "b2", "b3"),
    ),
    groups=(Group(id="g", items="${a.output.items}", needs=("a",), tasks=(_task("x"), _task("y", "x"))),),
    result={"by": "${last.output.by}"},
)
TASKS = 7 + 3 * 2


async def facts_of(fleet: Fleet) -> list[Fact]:
    return [Fact.of(event) async for event in fleet.log.read(Window(("events.default.m1.>",)))]


async def _until_completed(fleet: Fleet) -> None:
    """Wait for the end; a mission that failed gets another chance."""
    while True:
        await asyncio.sleep(0.5)
        await fleet.check_alive()
        counts = (await fleet.log.missions(("mission.completed", "mission.failed", "mission.reopened"))).get(KEY, {})
        if "mission.completed" in counts:
            assert counts["mission.completed"] == 1
            return
        if counts.get("mission.failed", 0) > counts.get("mission.reopened", 0):
            await fleet.ask(RetryMission(id=uuid7(), mission="m1"))


async def _interfere(fleet: Fleet) -> None:
    """Somebody pauses the mission now and then."""
    while True:
        await asyncio.sleep(fleet.rng.random() * 20)
        await fleet.ask(PauseMission(id=uuid7(), mission="m1"))
        await asyncio.sleep(fleet.rng.random() * 5)
        await fleet.ask(ResumeMission(id=uuid7(), mission="m1"))


async def _play(seed: int, hopeless: float = 0.0) -> None:
    fleet = Fleet(seed, hopeless=hopeless)
    for start in (fleet.start_orchestrator, fleet.start_manager, fleet.start_worker) * 2:
        start()
    done = False
    fates = asyncio.create_task(fleet.misfortune(lambda: done))
    somebody = asyncio.create_task(_interfere(fleet))
    try:
        async with asyncio.timeout(600):
            reply = await fleet.ask(SubmitMission(id=uuid7(), mission="m1", objective="o", plan=PLAN))
            assert reply.accepted
            await _until_completed(fleet)
            done = True
            await fates
            await asyncio.sleep(15)  # for those who are late
        await _check(fleet)
    finally:
        fates.cancel()
        somebody.cancel()
        await fleet.close()


async def _check(fleet: Fleet) -> None:
    facts = await facts_of(fleet)
    assert sum(isinstance(fact.payload, TaskSucceeded) for fact in facts) == TASKS
    for kind in (TaskReady, ActionDispatched, AttemptStarted, TaskSucceeded, WorldConfirmed):
        said = Counter(fact.payload.identity() for fact in facts if isinstance(fact.payload, kind))
        assert [each for each, times in said.items() if times > 1] == [], kind
    mission, floor = Mission(tenant="default", id="m1"), Floor("default", "m1")
    for fact in facts:
        mission, floor = evolve(mission, fact), floors.evolve(floor, fact)
    assert mission.status is MissionStatus.COMPLETED
    live = [desk.state for made in fleet.orchestrators.values() for desk in made.desks.all() if desk.mission == "m1"]
    assert all(state == mission for state in live)
    floors_live = [desk.state for made in fleet.managers.values() for desk in made.desks.all() if desk.mission == "m1"]
    assert all(state.attempts == floor.attempts == Floor("", "").attempts for state in floors_live)


@pytest.mark.parametrize("seed", range(30))
def test_a_mission_comes_to_its_end_whatever_happens(seed: int) -> None:
    simulate(_play(seed))


@pytest.mark.parametrize("seed", range(100, 110))
def test_a_mission_that_fails_is_retried_until_it_is_done(seed: int) -> None:
    simulate(_play(seed, hopeless=0.5))


async def _play_among_nonsense() -> None:
    fleet = Fleet(1, trouble=0.0)
    for start in (fleet.start_orchestrator, fleet.start_manager, fleet.start_worker):
        start()
    try:
        async with asyncio.timeout(120):
            await fleet.ask(SubmitMission(id=uuid7(), mission="m1", objective="o", plan=PLAN))
            for noun in ("task.ready", "goal.achieved", "action.dispatched", "world.confirmed"):
                await fleet.log.store(f"events.default.m1.{noun}", b"no event at all", uuid7())
                odd = Event(
                    id=uuid7(),
                    source="/nobody",
                    type=noun,
                    time=rfc3339(clock()),
                    tenant="default",
                    mission="m1",
                    data=msgspec.Raw(b'{"surprise":1}'),
                )
                await fleet.log.append([odd])
                await asyncio.sleep(0.3)
            await _until_completed(fleet)
    finally:
        await fleet.close()


def test_what_nobody_can_read_does_not_hold_up_a_mission() -> None:
    simulate(_play_among_nonsense())
