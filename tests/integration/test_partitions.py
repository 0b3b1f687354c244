"""Orchestrators and managers that share missions out, in one process: what each folds, and what a newcomer knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from events.commands import MemoryCommands
from events.leadership.group import Group
from events.leadership.memory import MemoryKeys
from events.memory import MemoryLog
from events.port import Window
from events.signals import MemorySignals
from orchestrator.admission import Limits, load_of
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.service import Orchestrator
from schemas.commands import CancelMission, CommandReply, SubmitMission
from schemas.events.orchestrator import OrchestratorTookOver
from schemas.ids import uuid7
from schemas.leaders import part_of
from schemas.plan import Plan, TaskSpec
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

PARTS, LEASE_S = 8, 1.2
PLAN = Plan(tasks=(TaskSpec(id="a", skill="s"), TaskSpec(id="b", skill="s", needs=("a",))))


class Office:
    """Orchestrators on one log, with one queue of commands."""

    def __init__(self) -> None:
        self.log, self.keys, self.signals = MemoryLog(), MemoryKeys(), MemorySignals()
        self.commands = MemoryCommands()

    @asynccontextmanager
    async def orchestrator(self, name: str, **options: object) -> AsyncIterator[Orchestrator]:
        group = Group(self.keys, "orchestrator", name, partitions=PARTS, lease_s=LEASE_S)
        made = Orchestrator(
            self.log,
            self.commands,
            NoPlanner(),
            name=name,
            clock=wall_clock,
            group=group,
            signals=self.signals,
            **options,  # type: ignore[arg-type]
        )
        ready = asyncio.Event()
        task = asyncio.create_task(made.run(ready))
        try:
            await asyncio.wait({task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
            assert not task.done(), task
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def submit(self, mission: str) -> CommandReply:
        return await self.commands.send(SubmitMission(id=uuid7(), mission=mission, objective="o", plan=PLAN))

    async def folded(self, mission: str) -> Mission:
        state = Mission(tenant="default", id=mission)
        async for event in self.log.read(Window((f"events.default.{mission}.>",))):
            state = evolve(state, Fact.of(event))
        return state


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def at_hand(orchestrator: Orchestrator) -> set[str]:
    return {desk.mission for desk in orchestrator.desks.all()}


async def test_each_folds_only_its_own_and_a_newcomer_knows_what_it_takes_over() -> None:
    office, names = Office(), {f"m{n}" for n in range(40)}
    async with office.orchestrator("a") as a:
        for name in sorted(names)[:20]:
            assert (await office.submit(name)).accepted
        async with office.orchestrator("b") as b:
            await until(lambda: len(at_hand(a)) + len(at_hand(b)) == 20 and bool(at_hand(b)))
            for name in sorted(names)[20:]:  # each is taken by any of them, and visited by those that do not lead it
                assert (await office.submit(name)).accepted
            await until(lambda: at_hand(a) | at_hand(b) == names)
            assert not at_hand(a) & at_hand(b)
            for one in (a, b):
                for desk in one.desks.all():
                    async with asyncio.timeout(10):
                        while desk.state != await office.folded(desk.mission):
                            await asyncio.sleep(0.01)  # what was just written is still to be read
        await until(lambda: at_hand(a) == names)
        for name in names:  # and goes on with all of them
            assert (await office.folded(name)).status is MissionStatus.RUNNING
    notes = [event async for event in office.log.read(Window(("events.default._.orchestrator.>",)))]
    assert [(event.type, event.subject) for event in notes] == [
        (OrchestratorTookOver.TYPE, "b"),
        (OrchestratorTookOver.TYPE, "a"),
    ]


async def test_a_command_is_carried_out_by_who_does_not_lead_the_mission_and_is_forgotten_there() -> None:
    office = Office()
    async with AsyncExitStack() as closing:
        both = [await closing.enter_async_context(office.orchestrator(name)) for name in "ab"]
        await until(lambda: all(one._partitions is not None and one._partitions.group.others() for one in both))
        for number in range(8):
            assert (await office.submit(f"m{number}")).accepted
        for one in both:
            for number in range(8):
                command = CancelMission(id=uuid7(), mission=f"m{number}", reason="on purpose")
                reply = await one.handle(command)
                assert reply.accepted or reply.code == "refused", reply
        for number in range(8):
            assert (await office.folded(f"m{number}")).status is MissionStatus.CANCELLED
        await until(lambda: not at_hand(both[0]) & at_hand(both[1]))
        assert not any(one.desks._guests for one in both)


@pytest.mark.parametrize("limit", [3])
async def test_what_is_open_at_the_others_counts_for_admission(limit: int) -> None:
    office, limits = Office(), Limits(busy_above=limit, refuse_above=None)
    async with AsyncExitStack() as closing:
        both = [await closing.enter_async_context(office.orchestrator(name, limits=limits)) for name in "ab"]
        leaders = [one._partitions for one in both]
        await until(lambda: all(sum(p.group.holds(n) for n in range(PARTS)) == 4 for p in leaders if p is not None))
        led_by_a = [f"m{n}" for n in range(200) if both[0]._partitions.leads("default", f"m{n}")]  # type: ignore[union-attr]
        for name in led_by_a[:3]:
            assert (await office.submit(name)).accepted
        await until(lambda: bool(both[1]._peers and load_of("default", {}, both[1]._peers.said) == 6))
        async with AsyncExitStack() as visits:  # what another one leads counts once, also while a command is at it
            for name in led_by_a[:3]:
                await visits.enter_async_context(both[1].desks.visiting("default", name))
            reply = await both[1].handle(SubmitMission(id=uuid7(), mission="late", objective="o", plan=PLAN))
        assert reply.busy
        assert reply.open_tasks == 6


def test_the_partition_is_made_of_tenant_and_mission() -> None:
    assert part_of("a", "b", 8) == part_of("a", "b", 8)
    assert len({part_of("a", f"m{n}", 8) for n in range(100)}) == 8
