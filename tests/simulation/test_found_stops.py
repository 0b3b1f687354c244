"""Bugs about stopping that the simulation has found, each as the shortest course that shows it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from events.memory import MemoryLog
from events.port import Window
from events.signals import Listener
from orchestrator.core.facts import Fact
from orchestrator.recording import Recorder
from orchestrator.stopping import Stopping, read_stops
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.floor import Floor
from orchestrator.task_queue.rules import superseded
from orchestrator.task_queue.standing import StandingStops
from schemas.commands import ResumeWork, StopWork
from schemas.events.task import TaskCancelled, TaskReady
from schemas.ids import uuid7
from schemas.signals import Running
from tests.simulation.virtual_time import wall_clock

FIRST, SECOND, LIFT = uuid7(), uuid7(), uuid7()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_lifting_that_is_delivered_again_lifts_nothing_that_was_stopped_since() -> None:
    """The second delivery lifted a stop that was asked for after the first."""

    async def main() -> None:
        log = MemoryLog()
        stopping = Stopping(log, Recorder(log, "/orchestrator/o", wall_clock))
        lift = ResumeWork(id=LIFT, mission="_", everyone=True)
        await stopping.carry_out(StopWork(id=FIRST, mission="_"))
        await stopping.carry_out(lift)
        await stopping.carry_out(StopWork(id=SECOND, mission="_"))
        await stopping.carry_out(lift)
        assert set((await read_stops(log)).stops) == {SECOND}

    asyncio.run(main())


def test_two_orchestrators_that_are_asked_at_once_lift_once() -> None:
    """Both had read the stops before either wrote."""

    async def main() -> None:
        log = MemoryLog()
        offices = [Stopping(log, Recorder(log, f"/orchestrator/{name}", wall_clock)) for name in "ab"]
        await offices[0].carry_out(StopWork(id=FIRST, mission="_"))
        lift = ResumeWork(id=LIFT, mission="_", everyone=True)
        await asyncio.gather(*(office.carry_out(lift) for office in offices))
        assert [event.type async for event in log.read(Window())] == ["reflex.stopped", "reflex.resumed"]

    asyncio.run(main())


def test_a_manager_that_is_behind_stops_nothing_that_it_has_not_heard_of() -> None:
    """It saw the attempt in a heartbeat before it had read that there is one, and took it for one that was over."""
    running = Running("default", "m", "a", 1)
    behind = Floor(tenant="default", mission="m")
    assert not superseded(behind, running, "w")
    knows = floors.evolve(behind, Fact(TaskReady(task="a", attempt=1, skill="s"), NOW))
    assert not superseded(knows, running, "w")
    over = floors.evolve(knows, Fact(TaskCancelled(task="a", reason="enough"), NOW))
    assert superseded(over, running, "w")


def test_a_lifting_that_comes_in_one_batch_with_its_stop_is_read() -> None:
    """Of several events about stops in one batch only the first was read, and the manager sent nothing any more."""

    class Silent:
        async def send(self, subject: str, payload: bytes) -> None:
            """Nobody listens."""

        async def listen(self, pattern: str, listener: Listener) -> None:
            """Nothing is heard."""

    async def main() -> None:
        log = MemoryLog()
        stopping = Stopping(log, Recorder(log, "/orchestrator/o", wall_clock))
        standing, changed = StandingStops(log, Silent(), lambda: changed.set()), asyncio.Event()
        await standing.load()
        await stopping.carry_out(StopWork(id=FIRST, mission="_"))
        await stopping.carry_out(ResumeWork(id=LIFT, mission="_", everyone=True))
        following = asyncio.create_task(standing.follow())
        await asyncio.wait_for(changed.wait(), 10)
        assert standing.in_force() == ()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(main())
