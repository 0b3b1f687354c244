"""A whole fleet in one process: orchestrators, task-queue managers and workers, and the misfortunes they meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any

import msgspec

from events.memory import MemoryLog
from events.port import Ack, Guard, Log, Write
from orchestrator.service import Orchestrator
from orchestrator.task_queue.dispatch import AttemptKey, Dispatch
from orchestrator.task_queue.service import TaskQueueManager
from schemas.attempts import AttemptOrder, Failure
from schemas.commands import Command, CommandReply
from schemas.envelope import Event, rfc3339
from schemas.errors import TimedOut
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.ids import uuid7
from schemas.plan import Plan
from schemas.signals import Heartbeat, Running, heartbeat_subject
from schemas.subjects import of_event
from tests.simulation.rough import Air, Ears, RoughCommands, RoughLog
from tests.simulation.virtual_time import clock, monotonic

SKILL = "s"


class NoPlanner:
    """Every submission brings its plan."""

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any]) -> Plan:
        raise NotImplementedError


class Queue:
    """Celery's place: attempts on their way to workers; some are lost, some come twice, all take a while."""

    def __init__(self, rng: Random, trouble: float) -> None:
        self._rng, self._trouble = rng, trouble
        self.waiting: asyncio.Queue[AttemptOrder] = asyncio.Queue()

    def send(self, dispatch: Dispatch) -> None:
        for _ in range(self._rng.choices((1, 0, 2), (1, self._trouble, self._trouble))[0]):
            delay = self._rng.random() * self._rng.choice((0.01, 0.1, 2.0))
            asyncio.get_running_loop().call_later(delay, self.waiting.put_nowait, dispatch.order)

    def again(self, dispatch: Dispatch) -> None:
        self.send(dispatch)

    def settled(self, attempt: AttemptKey) -> None:
        """Nothing is kept back here."""

    def close(self) -> None:
        """Nothing to let go."""


def said(payload: Payload, order: AttemptOrder, worker: str, now: datetime) -> Event:
    """A worker's word as an event, under a fresh id."""
    return Event(
        id=uuid7(),
        source=f"/worker/{worker}",
        type=payload.TYPE,
        time=rfc3339(now),
        tenant=order.tenant,
        mission=order.mission,
        subject=payload.about(),
        data=msgspec.Raw(payload.model_dump_json(exclude_defaults=True).encode()),
    )


async def claim(log: Log, worker: str, order: AttemptOrder, now: datetime) -> bool:
    """Claim an attempt as workers do: a fresh event that must be the first of its key."""
    payload = AttemptStarted(task=order.task, attempt=order.attempt, worker=worker, agent="a")
    event = said(payload, order, worker, now)
    (answer,) = await log.write([Write((event,), Guard(of_event(event, payload.key()), 0), payload.key())])
    return isinstance(answer, Ack)


class Fleet:
    """Everything that runs, and the log that outlives it.

    Args:
        seed: of everything that is left to chance.
        trouble: how likely each misfortune is.
        hopeless: which share of failures is said to be for good.
    """

    def __init__(self, seed: int, trouble: float = 0.1, hopeless: float = 0.0) -> None:
        self.rng = Random(seed)
        self.trouble = trouble
        self.hopeless = hopeless
        self.log = MemoryLog()
        self.commands = RoughCommands()
        self.air = Air(self.rng, trouble)
        self.queue = Queue(self.rng, trouble)
        self.orchestrators: dict[str, Orchestrator] = {}
        self.managers: dict[str, TaskQueueManager] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ears: dict[str, Ears] = {}
        self._count = 0

    def client(self) -> RoughLog:
        return RoughLog(self.log, self.rng, self.trouble / 2)

    def name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    # those who decide

    def start_orchestrator(self) -> None:
        name = self.name("o")
        made = Orchestrator(self.client(), self.commands, NoPlanner(), name=name, clock=clock)
        self.orchestrators[name] = made
        self._running[name] = asyncio.create_task(made.run())

    def start_manager(self) -> None:
        name = self.name("m")
        self._ears[name] = Ears(self.air)
        made = TaskQueueManager(
            self.client(), self._ears[name], lambda _: self.queue, name=name, clock=clock, monotonic=monotonic
        )
        self.managers[name] = made
        self._running[name] = asyncio.create_task(made.run())

    async def kill(self, name: str) -> None:
        """End one at once. An error that it died of before is an error of the simulation."""
        if name in self._ears:
            self._ears.pop(name).close()
        self.orchestrators.pop(name, None)
        self.managers.pop(name, None)
        task = self._running.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def misfortune(self, until: Callable[[], bool]) -> None:
        """One after the other they die and are replaced, for as long as ``until`` says no."""
        while not until():
            await asyncio.sleep(self.rng.random() * 8)
            name = self.rng.choice([*self.orchestrators, *self.managers])
            start = self.start_orchestrator if name in self.orchestrators else self.start_manager
            await self.kill(name)
            await asyncio.sleep(self.rng.random() * 2)
            start()

    async def check_alive(self) -> None:
        for task in self._running.values():
            if task.done():
                await task

    async def close(self) -> None:
        for name in list(self._running):
            await self.kill(name)

    async def ask(self, command: Command) -> CommandReply:
        """Send a command until somebody answers, each time with the same id."""
        while True:
            try:
                return await self.commands.send(command, timeout_s=3.0)
            except TimedOut:
                await self.check_alive()

    # those who act

    def start_worker(self) -> None:
        name = self.name("w")
        self._running[name] = asyncio.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        ears, running = Ears(self.air), dict[str, Running]()
        heart = asyncio.create_task(self._beat(ears, name, running))
        try:
            while True:
                order = await self.queue.waiting.get()
                if await claim(self.log, name, order, clock()):
                    running["now"] = Running(order.tenant, order.mission, order.task, order.attempt)
                    if not await self._attempt(name, order, heart):
                        return
                    running.clear()
        finally:
            heart.cancel()
            ears.close()

    async def _beat(self, ears: Ears, name: str, running: dict[str, Running]) -> None:
        while True:
            beat = Heartbeat(worker=name, skills=(SKILL,), running=tuple(running.values()))
            await ears.send(heartbeat_subject(name), msgspec.json.encode(beat))
            await asyncio.sleep(0.5)

    def _may_be_retried(self) -> bool:
        return self.rng.random() >= self.hopeless

    async def _attempt(self, name: str, order: AttemptOrder, heart: asyncio.Task[None]) -> bool:
        """Make one attempt. False if the worker died of it, or fell silent and was only heard of by a late word."""
        await asyncio.sleep(self.rng.random() * self.rng.choice((0.05, 1.0)))
        fate = self.rng.random()
        if fate < self.trouble:
            heart.cancel()
            asyncio.get_running_loop().call_later(1.0, self.start_worker)
            if fate < self.trouble / 2:
                return False
            await asyncio.sleep(5 + self.rng.random() * 5)
        failed = self.rng.random() < self.trouble
        failure = Failure(code="x", message="went wrong", retryable=self._may_be_retried()) if failed else None
        word = AttemptFinished(
            task=order.task,
            attempt=order.attempt,
            worker=name,
            outcome="failed" if failed else "succeeded",
            output={} if failed else {"items": ["a", "b", "a"], "by": name},
            failure=failure,
        )
        for _ in range(1 + (self.rng.random() < self.trouble)):
            await self.log.append([said(word, order, name, clock())])
        return fate >= self.trouble
