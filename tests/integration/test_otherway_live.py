"""Another way on a real log: two orchestrators, each with a planner that takes its time, and one that dies over it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from nats.aio.client import Client

from events.commands import MemoryCommands
from events.jetstream import JetStreamLog
from events.port import Window
from events.signals import MemorySignals
from orchestrator.core.facts import Fact
from orchestrator.planning import Impasse
from orchestrator.service import Orchestrator
from orchestrator.task_queue.service import TaskQueueManager
from schemas.commands import SubmitMission
from schemas.events.task import TaskFailed, TaskReplanned, TaskStuck
from schemas.expectations import OutputHas
from schemas.ids import uuid7
from schemas.plan import Plan, RecoveryRule, TaskSpec
from stigmergy.missions import read_mission
from tests.integration.test_two_orchestrators import SKILL, Worker, completed, started
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

PLAN = Plan(
    tasks=(
        TaskSpec(
            id="t", skill=SKILL, expects=(OutputHas(keys=("nothing",)),), recover=(RecoveryRule(do="smaller_step"),)
        ),
        TaskSpec(id="after", skill=SKILL, needs=("t",), inputs={"items": "${t.output.items}"}),
    )
)


class Slow(NoPlanner):
    """Answers once ``go`` is set; ``asked`` is set when it was asked."""

    def __init__(self) -> None:
        self.go, self.asked = asyncio.Event(), asyncio.Event()

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        assert (impasse.task.id, impasse.wanted, impasse.asked) == ("t", "smaller_step", 0)
        self.asked.set()
        await self.go.wait()
        return (TaskSpec(id="x", skill=SKILL), TaskSpec(id="y", skill=SKILL, needs=("x",)))


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
        "after", "t", "t~1.x", "t~1.y",
    ]  # fmt: skip


async def test_the_question_of_one_that_died_is_asked_again(nats: Client) -> None:
    facts = await play(nats, (Slow(), Slow()), dies=True)
    assert (count(facts)[TaskStuck.TYPE], count(facts)[TaskReplanned.TYPE]) == (1, 1)


async def test_nobody_waits_for_ever_for_a_planner_that_does_not_answer(nats: Client) -> None:
    facts = await play(nats, (Slow(), Slow()), patience=0.3)
    (failed,) = [fact.payload for fact in facts if isinstance(fact.payload, TaskFailed)]
    assert "the planner Slow has not answered within 0.3 s" in failed.failure.message
