"""A client that waits for a mission reads it in pieces, and has the whole of it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from events.memory import MemoryLog
from events.port import Window
from orchestrator.recording import Recorder
from schemas.envelope import Event
from schemas.errors import InvalidInput, LogUnavailable
from schemas.events import Payload
from schemas.events.mission import MissionPlanned, MissionSubmitted
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.plan import Plan, TaskSpec
from stigmergy import reading_along
from stigmergy.reading_along import ReadingAlong
from stigmergy.wiring import now


class Watched(MemoryLog):
    """Notes where each reading begins; fails as often as it is told to, in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.failing = 0

    async def read(self, window: Window) -> AsyncIterator[Event]:
        self.begun.append(window.first)
        async for event in super().read(window):
            yield event
            if self.failing:
                self.failing -= 1
                raise LogUnavailable("away")


async def record(log: MemoryLog, *payloads: Payload) -> None:
    recorder = Recorder(log, "/test", now)
    for payload in payloads:
        seen = {"mission": await log.newest("events.t.m.mission.*"), "task": await log.newest("events.t.m.task.*")}
        await recorder.record("t", "m", [payload], cause="c", correlation=None, seen=seen)


@pytest.fixture
async def log() -> Watched:
    log = Watched()
    plan = Plan(tasks=(TaskSpec(id="a", skill="echo"),))
    submitted = MissionSubmitted(objective="o", workflow="w")
    await record(log, submitted, MissionPlanned(plan=plan, planned_at=now()), TaskReady(task="a", attempt=1, skill="x"))
    return log


async def read_to(log: Watched, many: int) -> None:
    async with asyncio.timeout(10):
        while len(log.begun) < many:
            await asyncio.sleep(0.005)


async def test_what_was_read_is_not_read_again(log: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_along, "_FIRST_S", 0.01)
    async with ReadingAlong(log, "t", "m") as reading:
        await read_to(log, 2)
        await record(log, TaskSucceeded(task="a", attempt=1))
    view = await reading.view()
    assert [task.status for task in view.tasks] == ["succeeded"]
    assert log.begun[:2] == [1, 4]
    assert log.begun[-1] >= 4


async def test_a_log_that_is_away_meanwhile_does_no_harm(log: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_along, "_FIRST_S", 0.01)
    monkeypatch.setattr(reading_along, "_SELDOM_S", 0.01)
    log.failing = 2
    async with ReadingAlong(log, "t", "m") as reading:
        await read_to(log, 4)
    assert [task.status for task in (await reading.view()).tasks] == ["ready"]
    assert log.begun[:3] == [1, 1, 1]


async def test_a_mission_that_is_not_there_is_said_so(log: Watched) -> None:
    async with ReadingAlong(log, "t", "other") as reading:
        pass
    with pytest.raises(InvalidInput, match="no mission 'other'"):
        await reading.view()
