"""An orchestrator that dies between a mission's submission and its plan, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.jetstream.commands import JetStreamCommands
from events.port import Guard, Log, Window
from orchestrator.service import Orchestrator
from schemas.commands import PauseMission, SubmitMission
from schemas.envelope import Event
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

SUBMIT = SubmitMission(id=uuid7(), mission="m", objective="o", plan=Plan(tasks=(TaskSpec(id="a", skill="s"),)))


class _Unplanned(JetStreamLog):
    """Takes the first of several events, and then nothing more."""

    stuck: asyncio.Event

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        last = await super().append(events[:1], guard=guard)
        if len(events) > 1:
            self.stuck.set()
            await asyncio.Event().wait()
        return last


async def _start(log: Log, commands: JetStreamCommands, name: str) -> tuple[Orchestrator, asyncio.Task[None]]:
    made, ready = Orchestrator(log, commands, NoPlanner(), name=name, clock=wall_clock), asyncio.Event()
    life = asyncio.create_task(made.run(ready))
    await asyncio.wait_for(ready.wait(), 10)
    return made, life


async def test_its_successor_decides_nothing_before_the_submission_comes_to_it_and_is_planned(nats: Client) -> None:
    commands, log = await JetStreamCommands.open(nats), await JetStreamLog.open(nats)
    breaking = await _Unplanned.open(nats)
    assert isinstance(breaking, _Unplanned)
    breaking.stuck = asyncio.Event()
    _, dying = await _start(breaking, commands, "dying")
    asked = asyncio.create_task(commands.send(SUBMIT, timeout_s=20))
    await asyncio.wait_for(breaking.stuck.wait(), 10)
    successor, life = await _start(log, commands, "successor")
    try:
        early = await successor.handle(PauseMission(id=uuid7(), mission="m"))
        assert (early.accepted, early.reason) == (False, "mission 'm' has no plan yet")
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        assert (await asked).accepted
        assert (await successor.handle(PauseMission(id=uuid7(), mission="m"))).accepted
    finally:
        for each in (dying, life):
            each.cancel()
        await asyncio.gather(dying, life, return_exceptions=True)
    said = [event.type async for event in log.read(Window(("events.default.m.mission.>",)))]
    assert said == ["mission.submitted", "mission.planned", "mission.paused"]
