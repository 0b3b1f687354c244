"""Bugs that the simulation has found, each as the shortest course of events that shows it; and its kept scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from events.commands import MemoryCommands
from events.memory import MemoryLog
from events.port import Batch, Guard, Log, Wants, Window, everything
from orchestrator.planning import Planner
from orchestrator.service import Orchestrator
from schemas.commands import CancelMission, Command, CommandReply, PauseMission, ResumeMission, SubmitMission
from schemas.envelope import Event
from schemas.plan import Plan, TaskSpec
from tests.simulation.drawing import make_scenario
from tests.simulation.fleet import NoPlanner
from tests.simulation.kept import HISTORIES, keep, kept
from tests.simulation.play import play
from tests.simulation.virtual_time import clock, simulate

PLAN = Plan(tasks=(TaskSpec(id="a", skill="s"), TaskSpec(id="b", skill="s", needs=("a",))))
SUBMIT = SubmitMission(id="c1", mission="m", objective="o", plan=PLAN)
_NONE = NoPlanner()


class _Behind(MemoryLog):
    """A view of a log whose news come two seconds late."""

    def __init__(self, inner: MemoryLog) -> None:
        super().__init__()
        self.__dict__.update(vars(inner))
        self._inner = inner

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        return await self._inner.append(events, guard=guard)

    async def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        async for each in self._inner.follow(window, batch=batch, wants=wants):
            await asyncio.sleep(2.0)
            yield each


class _Stuck(_Behind):
    """A view of a log that never takes the end of a task."""

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        if any(event.type == "task.cancelled" for event in events):
            await asyncio.sleep(3600)
        return await self._inner.append(events, guard=guard)

    def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        return self._inner.follow(window, batch=batch, wants=wants)


class Unplanned(_Behind):
    """A view of a log on which the plan of a mission never arrives."""

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        first = await self._inner.append(events[:1], guard=guard)
        if len(events) > 1 and events[1].type == "mission.planned":
            await asyncio.sleep(3600)
        return first

    def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        return self._inner.follow(window, batch=batch, wants=wants)


class _Slow(_Behind):
    """A view of a log that takes a while for everything."""

    async def oldest(self) -> tuple[int, datetime | None]:
        await asyncio.sleep(0.1)
        return await self._inner.oldest()

    async def read(self, window: Window) -> AsyncIterator[Event]:
        await asyncio.sleep(0.1)
        async for event in self._inner.read(window):
            yield event

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        await asyncio.sleep(0.15)
        return await self._inner.append(events, guard=guard)

    def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        return self._inner.follow(window, batch=batch, wants=wants)


class Office:
    """Orchestrators on one log."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self._lives: dict[Orchestrator, asyncio.Task[None]] = {}

    async def open(self, log: Log, name: str, planner: Planner = _NONE, **options: Any) -> Orchestrator:
        made, ready = Orchestrator(log, MemoryCommands(), planner, name=name, clock=clock, **options), asyncio.Event()
        self._lives[made] = asyncio.create_task(made.run(ready))
        await ready.wait()
        await asyncio.sleep(0.1)
        return made

    async def kill(self, who: Orchestrator) -> None:
        life = self._lives.pop(who)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)

    async def close(self) -> None:
        for who in list(self._lives):
            await self.kill(who)

    async def types(self) -> list[str]:
        return [event.type async for event in self.log.read(Window())]


async def _stale(first: list[Command], then: Command) -> tuple[CommandReply, list[str]]:
    office = Office()
    quick, slow = await office.open(office.log, "quick"), await office.open(_Behind(office.log), "slow")
    try:
        assert (await quick.handle(SUBMIT)).accepted
        if first:
            await asyncio.sleep(10.0)
        for command in first:
            assert (await quick.handle(command)).accepted
        reply = await slow.handle(then)
        return reply, await office.types()
    finally:
        await office.close()


def test_a_mission_that_another_orchestrator_has_just_begun_is_known() -> None:
    """The pause was refused: there is no such mission."""

    async def main() -> None:
        reply, types = await _stale([], PauseMission(id="c2", mission="m"))
        assert reply.accepted, reply.reason
        assert "mission.paused" in types

    simulate(main())


def test_a_pause_by_another_orchestrator_is_ended_by_a_resumption() -> None:
    """The resumption was found granted already, and the mission stayed paused for ever."""

    async def main() -> None:
        reply, types = await _stale([PauseMission(id="c2", mission="m")], ResumeMission(id="c3", mission="m"))
        assert reply.accepted
        assert types.index("mission.resumed") > types.index("mission.paused")

    simulate(main())


def test_a_submission_that_comes_twice_at_once_is_answered_alike_twice() -> None:
    """A desk that has read nothing yet looks like one of an ended mission; it must not be put away under a command."""

    async def main() -> None:
        office = Office()
        only = await office.open(_Slow(office.log), "only")
        try:
            first = asyncio.create_task(only.handle(SUBMIT))
            await asyncio.sleep(0.15)
            second = asyncio.create_task(only.handle(SUBMIT))
            await asyncio.sleep(0.05)
            third = asyncio.create_task(only.handle(PauseMission(id="c2", mission="m")))
            replies = [await first, await second, await third]
            assert [reply.reason for reply in replies if not reply.accepted] == []
            assert [type_ for type_ in await office.types() if type_.startswith("mission.")] == [
                "mission.submitted",
                "mission.planned",
                "mission.paused",
            ]
        finally:
            await office.close()

    simulate(main())


def test_a_pause_that_is_delivered_again_after_the_resumption_pauses_nothing() -> None:
    """Its first orchestrator had died before it could say that it was done."""

    async def main() -> None:
        office = Office()
        only = await office.open(office.log, "only")
        pause, resume = PauseMission(id="c2", mission="m"), ResumeMission(id="c3", mission="m")
        try:
            for command in (SUBMIT, pause, resume, pause, resume):
                assert (await only.handle(command)).accepted
            types = await office.types()
            assert (types.count("mission.paused"), types.count("mission.resumed")) == (1, 1)
        finally:
            await office.close()

    simulate(main())


async def _cancelled_in_part() -> None:
    office = Office()
    dying = await office.open(_Stuck(office.log), "dying")
    try:
        assert (await dying.handle(SUBMIT)).accepted
        await asyncio.sleep(1.0)
        cancel = CancelMission(id="c2", mission="m")
        asked = asyncio.create_task(dying.handle(cancel))
        await asyncio.sleep(5.0)
        assert (await office.types())[-1] == "mission.cancelled"
        assert not asked.done(), "whoever answers before the tasks have ended leaves them to nobody"
        asked.cancel()
        await office.kill(dying)
        successor = await office.open(office.log, "successor")
        assert (await successor.handle(cancel)).accepted  # no answer was given, so the command comes again
        assert (await office.types()).count("task.cancelled") == len(PLAN.tasks)
    finally:
        await office.close()


def test_the_tasks_of_a_cancelled_mission_end_although_its_only_orchestrator_dies() -> None:
    """Ended missions are not loaded at start: their tasks stayed open for ever."""
    simulate(_cancelled_in_part())


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
def test_a_kept_scenario_plays_well(path: Path) -> None:
    """Each broke a law when it was kept. Later changes may lead it elsewhere; the tests above do not depend on that."""
    outcome = play(kept(path))
    assert not outcome.law, outcome.detail


def test_a_kept_scenario_is_the_one_that_was_played(tmp_path: Path) -> None:
    scenario = make_scenario(3)
    keep(scenario, tmp_path / "three.json")
    assert kept(tmp_path / "three.json") == scenario
    assert play(kept(tmp_path / "three.json")).digest == play(scenario).digest
