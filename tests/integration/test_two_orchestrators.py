"""Two orchestrators and two task-queue managers on one real log: of every decision, one is on record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
from nats.aio.client import Client

from events.commands import MemoryCommands
from events.jetstream import JetStreamLog
from events.port import Window
from events.signals import MemorySignals
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.service import Orchestrator
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.service import TaskQueueManager
from schemas.attempts import AttemptOrder, Given
from schemas.commands import SubmitMission
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.goal import GoalAchieved
from schemas.events.mission import MissionCompleted, MissionExtended
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.events.world import WorldConfirmed
from schemas.expectations import OutputHas
from schemas.ids import uuid7
from schemas.plan import Group, Plan, TaskSpec
from schemas.signals import Heartbeat, heartbeat_subject
from tests.simulation.fleet import NoPlanner
from tests.simulation.speaking import claim, said
from tests.simulation.virtual_time import wall_clock

SKILL = "s"
LAYERED = 91


def _plan() -> Plan:
    """A hundred tasks: 91 in layers of a random graph, and a group of nine."""
    rng, tasks = Random(7), list[TaskSpec]()
    for number in range(LAYERED):
        needs = tuple(rng.sample([task.id for task in tasks[-20:]], min(len(tasks), rng.randint(0, 2))))
        tasks.append(TaskSpec(id=f"t{number}", skill=SKILL, needs=needs, expects=(OutputHas(keys=("items",)),)))
    inner = tuple(TaskSpec(id=f"x{number}", skill=SKILL) for number in range(3))
    return Plan(tasks=tuple(tasks), groups=(Group(id="g", items="${t0.output.items}", needs=("t0",), tasks=inner),))


class Worker:
    """Both the queue and those who take from it; every attempt is offered to two workers at once."""

    def __init__(self, log: JetStreamLog, signals: MemorySignals) -> None:
        self._log, self._signals = log, signals
        self._tasks = set[asyncio.Task[None]]()

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        """To nobody."""
        return None

    def send(self, dispatch: Dispatch) -> None:
        for name in ("w1", "w2"):
            task = asyncio.create_task(self._attempt(name, dispatch.order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def again(self, dispatch: Dispatch) -> None:
        self.send(dispatch)

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        """Nothing is kept back here."""

    def passed(self, queue: str, priority: int, count: int) -> None:
        """Nothing is kept back here."""

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        """Nobody stands by here."""

    def returned(self, attempt: AttemptKey) -> None:
        """Nothing was given."""

    def close(self) -> None:
        """Nothing to let go."""

    async def _attempt(self, name: str, order: AttemptOrder) -> None:
        if not await claim(self._log, name, order, wall_clock()):
            return
        done = AttemptFinished(
            task=order.task, attempt=order.attempt, worker=name, outcome="succeeded", output={"items": [1, 2, 3]}
        )
        await self._log.append([said(done, order, name, wall_clock())])

    async def beat(self) -> None:
        while True:
            for name in ("w1", "w2"):
                beat = msgspec.json.encode(Heartbeat(worker=name, skills=(SKILL,)))
                await self._signals.send(heartbeat_subject(name), beat)
            await asyncio.sleep(0.3)


async def started(run: Callable[[asyncio.Event], Awaitable[None]]) -> asyncio.Task[None]:
    ready = asyncio.Event()
    task = asyncio.ensure_future(run(ready))
    await asyncio.wait({task, waiting := asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert waiting.done(), task
    return task


async def completed(log: JetStreamLog, running: list[asyncio.Task[None]]) -> None:
    async with asyncio.timeout(60):
        while not await log.missions(("mission.completed", "mission.failed")):
            await asyncio.wait(running, timeout=0.1)
            assert not any(task.done() for task in running), running


async def test_one_wins_each_decision(nats: Client) -> None:
    log = await JetStreamLog.open(nats)
    commands, signals = MemoryCommands(), MemorySignals()
    worker = Worker(log, signals)
    running = [asyncio.create_task(worker.beat())]
    for name in ("1", "2"):
        manager = TaskQueueManager(log, signals, lambda _: worker, name=name, clock=wall_clock)
        running.append(await started(manager.run))
        orchestrator = Orchestrator(log, commands, NoPlanner(), name=name, clock=wall_clock)
        running.append(await started(orchestrator.run))
    try:
        submit = SubmitMission(id=uuid7(), mission="m1", objective="a hundred tasks", plan=_plan())
        first, second = await asyncio.gather(commands.send(submit), commands.send(submit))
        assert first.accepted
        assert second.accepted
        await completed(log, running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    facts = [Fact.of(event) async for event in log.read(Window(("events.default.m1.>",)))]
    await log.close()
    mission = Mission(tenant="default", id="m1")
    for fact in facts:
        mission = evolve(mission, fact)
    assert mission.status is MissionStatus.COMPLETED
    assert len(mission.tasks) == 100
    for kind in (TaskReady, ActionDispatched, AttemptStarted, AttemptFinished, WorldConfirmed, TaskSucceeded):
        said_of = Counter(fact.payload.identity() for fact in facts if isinstance(fact.payload, kind))
        assert said_of == Counter({(name, "1"): 1 for name in mission.tasks}), kind
    for rare in (MissionCompleted, MissionExtended, GoalAchieved):
        once = Counter(fact.payload.identity() for fact in facts if isinstance(fact.payload, rare))
        assert once
        assert set(once.values()) == {1}, rare
