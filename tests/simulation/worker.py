"""A worker process: the real life of an attempt (claim, watch, agent, report) in a thread in lockstep.

Real: :class:`workers.attempt.Attempts` with its context, scratchpad, stop flag, watch and reporter. Simulated: Celery,
the connection (:class:`ThreadBus` has the port of ``workers.bus.WorkerBus``), and the watch's own thread, whose looks
the loop takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from events.codec import frames
from events.port import Ack, Log, Window, Write
from schemas.attempts import AttemptOrder
from schemas.envelope import NO_MISSION, Event
from schemas.errors import Permanent, Retryable, StigmergyError
from schemas.ids import uuid7
from schemas.requirements import queue_of
from schemas.signals import STANDING, STOPS, Heartbeat, heartbeat_subject, orders_subject
from schemas.stops import StopRecord
from schemas.subjects import noun_filter
from tests.simulation.celery_queue import Queue
from tests.simulation.fates import Fates
from tests.simulation.feature import Deed, Part
from tests.simulation.lockstep import Lockstep, pause
from tests.simulation.node import Node
from tests.simulation.rough import Ears
from tests.simulation.sealed import STANDBY_S
from workers.agents.base import Agent
from workers.attempt import Attempts
from workers.bench import Bench
from workers.context import Context
from workers.registry import Registry
from workers.reporting import Reporter
from workers.standby import Standby, Taken
from workers.watch import Watch
from workers.workspaces import MemoryBlobs

_BEAT_S = 1.0
_LOOK_S = 0.25
_NOWHERE = Path("nowhere")
"""Simulated agents have no workspace, so nothing is ever made there."""
_LISTS = (["a"], ["a", "b"], ["a", "a", "a-2"], [{"id": "x"}, {"no": "id"}], [], "no list")


type Begins = Callable[[AttemptOrder, str], None]
"""Told of every attempt that an agent is set to work at, and of its worker."""


class Actor(Agent):
    """Does what fate wants: well, badly, slowly, or with a lie about it."""

    def __init__(self, node: Node, fates: Fates, parts: Sequence[Part], begins: Begins) -> None:
        self._node, self._fates, self._parts, self._begins = node, fates, parts, begins
        self._chance = fates.stream(f"agent {node.name}")

    def run(self, context: Context) -> dict[str, Any] | None:
        self._begins(context.order, self._node.name)
        fates, chance = self._fates, self._chance
        deed = Deed(context.order, context, self._node, chance)
        takes = chance.random() * chance.choice((0.02, 0.3, 1.0))
        obeys = True
        if fates.strikes("attempt_slow"):
            takes += fates.size("attempt_slow", 1.0, 12.0)
            obeys = not fates.strikes("attempt_ignores_stops")
        if chance.random() < 0.2:
            context.scratchpad["tried"] = int(context.scratchpad.get("tried", 0)) + 1
        self._work(context, takes, obeys)
        context.exit_code = 0
        if fates.strikes("attempt_crashes"):
            raise RuntimeError("the agent has a flaw")
        if fates.strikes("attempt_fails"):
            raise (Retryable if chance.random() < 0.7 else Permanent)("it did not work")
        if fates.strikes("attempt_lies"):
            context.exit_code = chance.choice((0, 1))
            return {"n": 1}
        deed.output = {"by": self._node.name, "n": chance.randint(0, 9), "items": chance.choice(_LISTS)}
        for part in self._parts:
            part.act(deed)
        return deed.output

    def _work(self, context: Context, takes: float, obeys: bool) -> None:
        while takes > 0:
            if obeys:
                context.check()
            pause(min(takes, 0.5))
            takes -= 0.5


class Skills(Registry):
    """One agent for some skills; the real one looks for agents in modules."""

    def __init__(self, agent: Agent, skills: Sequence[str]) -> None:
        self._by_skill = dict.fromkeys(skills, agent)


class ThreadBus:
    """The bus as a worker's threads see it."""

    def __init__(self, steps: Lockstep, log: Log, fates: Fates) -> None:
        self._steps, self._log, self._fates = steps, log, fates
        self._posted: list[Event] = []

    def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        async def go() -> list[Ack | StigmergyError]:
            await self.flush()
            return await self._log.write(writes)

        answers: list[Ack | StigmergyError] = self._steps.wait(go)
        return answers

    def append(self, events: Sequence[Event]) -> None:
        async def go() -> None:
            together = frames([*self._posted, *events])
            if len(together) == 1:  # as the bus does
                self._posted = []
            else:
                await self.flush()
                together = frames(events)
            if self._fates.strikes("report_late"):
                await asyncio.sleep(self._fates.size("report_late", 0.5, 8.0))
            for result in await self._log.write([Write(frame) for frame in together]):
                if isinstance(result, StigmergyError):
                    raise result
            if self._fates.strikes("report_doubled"):
                again = [msgspec.structs.replace(event, id=uuid7()) for event in events]
                await self._log.write([Write(frame) for frame in frames(again)])

        self._steps.wait(go)

    def post(self, event: Event, *, hurry: bool = False) -> None:
        self._posted.append(event)

    def read(self, filters: tuple[str, ...]) -> list[Event]:
        async def go() -> list[Event]:
            await self.flush()
            return [event async for event in self._log.read(Window(filters))]

        events: list[Event] = self._steps.wait(go)
        return events

    async def flush(self) -> None:
        """Write what was posted."""
        if self._posted:
            events, self._posted = self._posted, []
            await self._log.write([Write(frame) for frame in frames(events)])


class Letterbox:
    """Orders on their way to the worker's thread, which waits for them in virtual time."""

    def __init__(self, steps: Lockstep, thaw: Callable[[], Awaitable[None]]) -> None:
        self._steps, self._thaw = steps, thaw
        self._came: deque[Taken] = deque()
        self._news = asyncio.Event()

    def put(self, item: Taken) -> None:
        self._came.append(item)
        self._news.set()

    def get(self, *, timeout: float) -> Taken:
        async def come() -> None:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout)
            await self._thaw()

        if not self._came:
            self._steps.wait(come)
        return self.get_nowait()

    def get_nowait(self) -> Taken:
        if not self._came:
            raise queue.Empty
        return self._came.popleft()


class Worker:
    """One process with an agent for some skills; :meth:`run` is its life."""

    def __init__(
        self,
        node: Node,
        log: Log,
        ears: Ears,
        queue: Queue,
        fates: Fates,
        skills: tuple[str, ...],
        parts: Sequence[Part] = (),
        begins: Begins = lambda _order, _worker: None,
    ) -> None:
        self._parts = parts
        self._node, self._ears, self._queue, self._fates, self._skills = node, ears, queue, fates, skills
        self._steps = Lockstep(node)
        self._bus = ThreadBus(self._steps, log, fates)
        self._watch = Watch(may_exit=True, worker=node.name)
        self._log = log
        self._hearing: list[asyncio.Task[None]] = []
        self._registry = registry = Skills(Actor(node, fates, parts, begins), skills)
        bench = Bench(_NOWHERE, MemoryBlobs())
        for part in parts:
            part.prepare(bench)
        self._standby = Standby(
            lambda order: self._attempts.take(order),
            lambda order: self._attempts.give_back(order),
            Letterbox(self._steps, self._thaw),
        )
        self._attempts = Attempts(
            registry, bench, Reporter(self._bus, node.name), self._watch, reporting=self._standby.reporting
        )

    async def run(self) -> None:
        """Take orders until cancelled."""
        self._node.deaf = self._fates.strikes("worker_deaf")
        await self._ears.listen(STOPS, self._hear)
        await self._ears.listen(STANDING, self._hear_standing)
        await self._ears.listen(orders_subject(self._node.name), self._given)
        await self._adopt_stops()
        others = [asyncio.create_task(self._beat()), asyncio.create_task(self._look())]
        try:
            while True:
                await self._thaw()
                await self._make(*await self._queue.take(self._queues()))
        finally:
            for task in (*others, *self._hearing):
                task.cancel()
            self._steps.kill()

    def _hear(self, raw: bytes) -> None:
        if self._node.deaf and not self._fates.calm:
            return
        with self._node.running():
            self._watch.hear(raw)

    def _hear_standing(self, raw: bytes) -> None:
        if self._node.deaf and not self._fates.calm:
            return
        with self._node.running():
            self._watch.hear_standing(raw)

    def _given(self, raw: bytes) -> None:
        self._hearing = [task for task in self._hearing if not task.done()]
        self._hearing.append(asyncio.create_task(self._hear_order(AttemptOrder.model_validate_json(raw))))

    async def _hear_order(self, order: AttemptOrder) -> None:
        await self._thaw()
        with self._node.running():
            self._standby.hear(order)

    async def _adopt_stops(self) -> None:
        """Who joins later must not begin what was stopped before."""
        record = StopRecord()
        async for event in self._log.read(Window((noun_filter("reflex", mission=NO_MISSION),))):
            record.take(event)
        with self._node.running():
            self._watch.adopt(record.standing())

    async def _make(self, orders: Sequence[AttemptOrder], stands_by: bool) -> None:
        def work() -> None:
            if stands_by:
                self._standby.serve(lambda: self._attempts.make(orders), self._attempts.make_given, STANDBY_S)
            else:
                self._attempts.make(orders)

        if self._fates.strikes("worker_killed"):
            later = self._fates.size("worker_killed", 0.0, 1.5)
            asyncio.get_running_loop().call_later(later, self._node.die)
        if self._fates.strikes("worker_frozen"):
            later = self._fates.size("worker_frozen", 0.0, 1.0)
            asyncio.get_running_loop().call_later(later, self._freeze)
        try:
            await self._steps.run(work)
        except StigmergyError as error:
            if not error.retryable:
                raise
            # Celery logs it and goes on; the order is left to the manager.

    def _freeze(self) -> None:
        self._node.frozen_until = self._node.monotonic() + self._fates.size("worker_frozen", 2.0, 15.0)

    async def _thaw(self) -> None:
        while (left := self._node.frozen_until - self._node.monotonic()) > 0:
            await asyncio.sleep(left)

    def _queues(self) -> list[str]:
        profile = self._presented(Heartbeat(worker=self._node.name)).profile
        own = [queue_of(skill, profile) for skill in self._skills] if profile else []
        return [*(queue_of(skill) for skill in self._skills), *own]

    def _presented(self, beat: Heartbeat) -> Heartbeat:
        for part in self._parts:
            beat = part.heartbeat(self._node, beat)
        return beat

    async def _beat(self) -> None:
        while True:
            await self._thaw()
            with self._node.running():
                stopped = self._watch.held_back(self._registry.agents)
            held = {skill for agent in stopped for skill in self._registry.agents[agent]}
            skills = tuple(skill for skill in self._skills if skill not in held)
            beat = Heartbeat(
                worker=self._node.name, skills=skills, held=tuple(sorted(held)), running=self._watch.held()
            )
            beat = self._presented(beat)
            await self._ears.send(heartbeat_subject(self._node.name), msgspec.json.encode(beat))
            await asyncio.sleep(_BEAT_S)

    async def _look(self) -> None:
        """The watch's looks, which its own thread takes in a fleet."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._thaw()
            with self._node.running():
                if self._watch._current is not None:
                    self._watch._look(*self._watch._current)
            await self._bus.flush()
