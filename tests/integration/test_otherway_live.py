"""Another way on a real log: two orchestrators, each with a planner that takes its time, and one that dies over it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from nats.aio.client import Client

from events.commands import MemoryCommands
from events.jetstream import JetStreamLog
from events.leadership.group import Group
from events.leadership.jetstream import JetStreamKeys
from events.leadership.port import Put
from events.port import Window
from events.signals import MemorySignals
from orchestrator.core.facts import Fact
from orchestrator.planning import Impasse
from orchestrator.service import Orchestrator
from orchestrator.task_queue.service import TaskQueueManager
from schemas.commands import SubmitMission
from schemas.errors import LogUnavailable, StigmergyError
from schemas.events.task import TaskFailed, TaskReplanned, TaskStuck, TaskSucceeded
from schemas.expectations import OutputHas
from schemas.ids import uuid7
from schemas.leaders import part_of
from schemas.plan import Plan, RecoveryRule, TaskSpec
from stigmergy.missions import read_mission
from tests.integration.test_two_orchestrators import SKILL, Worker, completed, started
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

PARTS, LEASE_S = 4, 3.0
"""The lease is long enough that a machine which stands still for a moment does not end it."""
PLAN = Plan(
    tasks=(
        TaskSpec(
            id="t", skill=SKILL, expects=(OutputHas(keys=("nothing",)),), recover=(RecoveryRule(do="smaller_step"),)
        ),
        TaskSpec(id="after", skill=SKILL, needs=("t",), inputs={"items": "${t.output.items}"}),
    )
)


class Slow(NoPlanner):
    """Answers two tasks of this name once ``go`` is set; ``asked`` is set when it was asked."""

    def __init__(self, name: str = "x") -> None:
        self._name = name
        self.go, self.asked = asyncio.Event(), asyncio.Event()

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        assert (impasse.task.id, impasse.wanted, impasse.asked) == ("t", "smaller_step", 0)
        self.asked.set()
        await self.go.wait()
        one, two = f"{self._name}1", f"{self._name}2"
        return (TaskSpec(id=one, skill=SKILL), TaskSpec(id=two, skill=SKILL, needs=(one,)))


async def play(
    nats: Client, planners: Sequence[NoPlanner], *, patience: float = 60.0, dies: bool = False
) -> list[Fact]:
    log = await JetStreamLog.open(nats)
    commands, signals = MemoryCommands(), MemorySignals()
    worker = Worker(log, signals)
    manager = TaskQueueManager(log, signals, lambda _: worker, name="1", clock=wall_clock)
    running = [asyncio.create_task(worker.beat()), await started(manager.run)]

    async def orchestrator(number: int) -> asyncio.Task[None]:
        made = Orchestrator(
            log, commands, planners[number], name=str(number), clock=wall_clock, planner_timeout_s=patience
        )
        return await started(made.run)

    first = await orchestrator(0)
    running += [] if dies else [first, await orchestrator(1)]
    try:
        reply = await commands.send(SubmitMission(id=uuid7(), mission="m1", objective="another way", plan=PLAN))
        assert reply.accepted
        for planner in planners[: 1 if dies else 2]:
            if isinstance(planner, Slow):
                await asyncio.wait_for(planner.asked.wait(), 30)
        if dies:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            running.append(await orchestrator(1))
        for planner in planners[1 if dies else 0 :]:
            if isinstance(planner, Slow) and patience > 1:
                planner.go.set()
        await completed(log, running)
    finally:
        for task in (*running, first):
            task.cancel()
        await asyncio.gather(*running, first, return_exceptions=True)
    facts = [Fact.of(event) async for event in log.read(Window(("events.default.m1.>",)))]
    view = await read_mission(log, "default", "m1")
    await log.close()
    assert view.status == ("failed" if patience < 1 else "completed"), view.reason
    return facts


def count(facts: list[Fact]) -> Counter[str]:
    return Counter(fact.payload.TYPE for fact in facts)


async def test_both_are_asked_and_one_answer_counts(nats: Client) -> None:
    facts = await play(nats, (Slow(), Slow()))
    assert (count(facts)[TaskStuck.TYPE], count(facts)[TaskReplanned.TYPE]) == (1, 1)
    assert sorted(fact.payload.task for fact in facts if fact.payload.TYPE == "task.succeeded") == [  # type: ignore[attr-defined]
        "after", "t", "t~1.x1", "t~1.x2",
    ]  # fmt: skip


async def test_the_question_of_one_that_died_is_asked_again(nats: Client) -> None:
    facts = await play(nats, (Slow(), Slow()), dies=True)
    assert (count(facts)[TaskStuck.TYPE], count(facts)[TaskReplanned.TYPE]) == (1, 1)


async def test_nobody_waits_for_ever_for_a_planner_that_does_not_answer(nats: Client) -> None:
    facts = await play(nats, (Slow(), Slow()), patience=0.3)
    (failed,) = [fact.payload for fact in facts if isinstance(fact.payload, TaskFailed)]
    assert "the planner Slow has not answered within 0.3 s" in failed.failure.message


class Cut(JetStreamKeys):
    """Keys that cannot be written while ``cut`` is set."""

    cut = False

    async def put(self, writes: Sequence[Put]) -> list[int | StigmergyError]:
        if self.cut:
            return [LogUnavailable("cut off") for _ in writes]
        return await super().put(writes)


class Leaders:
    """Two orchestrators that share missions out, each with a planner and keys of its own."""

    def __init__(self, log: JetStreamLog, nats: Client) -> None:
        self.commands, self.signals = MemoryCommands(), MemorySignals()
        self.planners = [Slow("x"), Slow("y")]
        self.keys = [Cut(nats), Cut(nats)]
        self.groups = [
            Group(keys, "orchestrator", f"o{number}", partitions=PARTS, lease_s=LEASE_S)
            for number, keys in enumerate(self.keys)
        ]
        self._made = [
            Orchestrator(
                log,
                self.commands,
                planner,
                name=group.who,
                clock=wall_clock,
                group=group,
                signals=self.signals,
            )
            for planner, group in zip(self.planners, self.groups, strict=True)
        ]

    async def start(self) -> list[asyncio.Task[None]]:
        return [await started(made.run) for made in self._made]

    async def mission_of(self, number: int) -> str:
        """The name of a mission that this one leads, once both have their share: until then some move."""
        async with asyncio.timeout(30):
            while [sum(group.holds(part) for part in range(PARTS)) for group in self.groups] != [PARTS // 2] * 2:
                await asyncio.sleep(0.02)
        return next(name for n in range(50) if self.groups[number].holds(part_of("default", name := f"m{n}", PARTS)))


@pytest.mark.parametrize("how", ["it dies", "it is cut off, and answers last", "it is cut off, and answers first"])
async def test_the_successor_of_a_leader_that_waits_for_its_planner_asks_its_own(nats: Client, how: str) -> None:
    log = await JetStreamLog.open(nats)
    leaders = Leaders(log, nats)
    worker = Worker(log, leaders.signals)
    manager = TaskQueueManager(log, leaders.signals, lambda _: worker, name="q", clock=wall_clock)
    running = [asyncio.create_task(worker.beat()), await started(manager.run), *await leaders.start()]
    first, second = leaders.planners
    try:
        mission = await leaders.mission_of(0)
        submit = SubmitMission(id=uuid7(), mission=mission, objective="another way", plan=PLAN)
        assert (await leaders.commands.send(submit)).accepted
        await asyncio.wait_for(first.asked.wait(), 30)
        await asyncio.sleep(LEASE_S)
        assert not second.asked.is_set(), "one leader is asked, while it lives"
        if how == "it dies":
            dead = running.pop(2)
            dead.cancel()
            await asyncio.gather(dead, return_exceptions=True)
        leaders.keys[0].cut = True
        if how == "it is cut off, and answers first":
            async with asyncio.timeout(30):
                while leaders.groups[0].holds(part_of("default", mission, PARTS)):
                    await asyncio.sleep(0.01)
            first.go.set()  # it leads nothing now, and nobody has taken over yet: nothing may come of it
        await asyncio.wait_for(second.asked.wait(), 30)
        second.go.set()
        await completed(log, running)
        first.go.set()
        leaders.keys[0].cut = False
        await asyncio.sleep(1.0)  # it has joined again, with an answer that nobody waits for
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    facts = [Fact.of(event) async for event in log.read(Window((f"events.default.{mission}.>",)))]
    await log.close()
    [replanned] = [fact.payload for fact in facts if isinstance(fact.payload, TaskReplanned)]
    assert [part.id for part in replanned.tasks] == ["t~1.y1", "t~1.y2"], "the answer of who leads"
    assert sorted(fact.payload.task for fact in facts if isinstance(fact.payload, TaskSucceeded)) == [
        "after", "t", "t~1.y1", "t~1.y2",
    ]  # fmt: skip
    assert count(facts)[TaskStuck.TYPE] == 1
