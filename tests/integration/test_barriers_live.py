"""Barriers on a real log, with real clocks: two orchestrators, and needs that nobody ever brings to an end."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from events.commands import MemoryCommands
from events.jetstream import JetStreamLog
from events.port import Window
from events.signals import MemorySignals
from orchestrator.core.facts import Fact
from orchestrator.service import Orchestrator
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.service import TaskQueueManager
from schemas.barriers import Barrier
from schemas.commands import SubmitMission
from schemas.events.task import TaskCancelled, TaskReady
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from stigmergy.missions import read_mission
from tests.integration.test_two_orchestrators import SKILL, Worker, completed, started
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

UNTIL_S = 0.5


class Picky(Worker):
    """Never ends what is called ``stuck…``."""

    def send(self, dispatch: Dispatch) -> None:
        if not dispatch.order.task.startswith("stuck"):
            super().send(dispatch)


def plan() -> Plan:
    singles = tuple(TaskSpec(id=name, skill=SKILL) for name in ("a", "b", "stuck1", "c", "stuck2"))
    quorum = TaskSpec(
        id="quorum",
        skill=SKILL,
        needs=("a", "b", "stuck1"),
        barrier=Barrier(at_least=2, rest="cancel"),
        inputs={"met": "${barrier.met}", "items": ["${a.output.items}", "${stuck1.output.items}"]},
    )
    timed = TaskSpec(id="timed", skill=SKILL, needs=("c", "stuck2"), barrier=Barrier(until_s=UNTIL_S, rest="cancel"))
    return Plan(tasks=(*singles, quorum, timed))


async def test_what_is_there_is_enough_and_the_rest_is_cancelled(nats: Client) -> None:
    log = await JetStreamLog.open(nats)
    commands, signals = MemoryCommands(), MemorySignals()
    worker = Picky(log, signals)
    running = [asyncio.create_task(worker.beat())]
    for name in ("1", "2"):
        manager = TaskQueueManager(log, signals, lambda _: worker, name=name, clock=wall_clock)
        running.append(await started(manager.run))
        running.append(await started(Orchestrator(log, commands, NoPlanner(), name=name, clock=wall_clock).run))
    try:
        reply = await commands.send(SubmitMission(id=uuid7(), mission="m1", objective="some are enough", plan=plan()))
        assert reply.accepted
        await completed(log, running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    facts = [Fact.of(event) async for event in log.read(Window(("events.default.m1.task.>",)))]
    view = await read_mission(log, "default", "m1")
    await log.close()
    ready = {fact.payload.task: fact for fact in facts if isinstance(fact.payload, TaskReady)}
    quorum, timed = ready["quorum"].payload, ready["timed"].payload
    assert isinstance(quorum, TaskReady)
    assert isinstance(timed, TaskReady)
    assert quorum.inputs == {"met": ["a", "b"], "items": [[1, 2, 3]]}
    assert quorum.needs_missing == ("stuck1",)
    assert (timed.needs_met, timed.needs_missing) == (("c",), ("stuck2",))
    first = min(ready[name].at for name in ("c", "stuck2"))
    assert (ready["timed"].at - first).total_seconds() >= UNTIL_S
    cancelled = {p.task: p.reason for p in (fact.payload for fact in facts) if isinstance(p, TaskCancelled)}
    assert cancelled == {"stuck1": "quorum has begun without it", "stuck2": "timed has begun without it"}
    assert view.status == "completed"
    assert {task.id for task in view.tasks if task.status == "succeeded"} == {"a", "b", "c", "quorum", "timed"}
