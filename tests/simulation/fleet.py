"""A whole fleet in one process: orchestrators, task-queue managers and workers, and the misfortunes they meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import msgspec

from events.port import Log
from orchestrator.desks import Desk
from orchestrator.service import Orchestrator
from orchestrator.task_queue.service import TaskQueueManager
from schemas.commands import Command, CommandReply
from schemas.errors import TimedOut
from schemas.ids import uuid7
from schemas.plan import Plan
from schemas.signals import Heartbeat, heartbeat_subject
from tests.simulation.celery_queue import Queue
from tests.simulation.checker import CheckedLog, Checker
from tests.simulation.fates import Fates
from tests.simulation.node import Node
from tests.simulation.rough import Air, Ears, RoughCommands, RoughLog, linger
from tests.simulation.scenario import SKILLS, Scenario
from tests.simulation.worker import Worker

_SKEW_S = 1.5
_FAR_S = 3600.0
_DRIFT = 1e-4
_JUMP_S = 20.0


class NoPlanner:
    """Every submission brings its plan."""

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any]) -> Plan:
        raise NotImplementedError


class Fleet:
    """Everything that runs, and the log that outlives it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._true = asyncio.get_running_loop().time
        self.fates = Fates(scenario.seed, scenario.rates, scenario.only, self._true)
        self.log = CheckedLog()
        self.checker = self.log.checker = Checker(self.desks)
        self.commands = RoughCommands(self.fates)
        self.queue = Queue(self.fates)
        self.nodes: dict[str, Node] = {}
        self.deciders: dict[str, Orchestrator | TaskQueueManager] = {}
        self._air = Air(self.fates)
        self._ears: dict[str, Ears] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._starts: dict[str, Callable[[], None]] = {}
        self._burials: set[asyncio.Task[None]] = set()
        self._chance = self.fates.stream("fleet")
        self._count = 0
        self.failed: BaseException | None = None

    def start(self) -> None:
        """Everybody who takes part, and what happens to them."""
        for _ in range(self.scenario.orchestrators):
            self._start_orchestrator()
        for _ in range(self.scenario.managers):
            self._start_manager()
        for number in range(self.scenario.workers):
            # The first can do everything, so that everything can be done.
            skills = SKILLS if number == 0 else self._chance.choice((SKILLS, SKILLS[:1], SKILLS[1:]))
            self._start_worker(skills)
        self._launch("fate", self._misfortunes())

    def desks(self) -> Iterator[Desk[Any]]:
        """What the living deciders have at hand."""
        for decider in self.deciders.values():
            yield from decider.desks.all()

    # birth

    def _node(self, kind: str) -> Node:
        self._count += 1
        skewed = bool(self.scenario.rates)
        # Deciders of missions reckon with instants on the log, so an hour would only make missions an hour longer.
        most = _FAR_S if self.scenario.far and kind in "qw" else _SKEW_S
        offset = (self._chance.random() * 2 - 1) * most * skewed
        drift = (self._chance.random() * 2 - 1) * _DRIFT * skewed
        node = Node(f"{kind}{self._count}", self._true, offset=offset, drift=drift)
        node.wrong_s = most
        node.die = lambda: self._die(node.name)
        self.nodes[node.name] = node
        self._ears[node.name] = Ears(self._air)
        return node

    def _client(self, node: Node) -> Log:
        return RoughLog(self.log, node, self.fates)

    def _start_orchestrator(self) -> None:
        node = self._node("o")
        made = Orchestrator(self._client(node), self.commands, NoPlanner(), name=node.name, clock=node.clock)
        self.deciders[node.name] = made
        self._starts[node.name] = self._start_orchestrator
        self._launch(node.name, made.run())

    def _start_manager(self) -> None:
        node = self._node("q")
        ears = self._ears[node.name]
        made = TaskQueueManager(
            self._client(node), ears, lambda _: self.queue, name=node.name, clock=node.clock, monotonic=node.monotonic
        )
        self.deciders[node.name] = made
        self._starts[node.name] = self._start_manager
        self._launch(node.name, made.run())

    def _start_worker(self, skills: tuple[str, ...]) -> None:
        node = self._node("w")
        ears = self._ears[node.name]
        made = Worker(node, self._client(node), ears, self.queue, self.fates, skills)
        self._starts[node.name] = lambda: self._start_worker(skills)
        self._launch(node.name, made.run())

    def _launch(self, name: str, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._running[name] = task
        task.add_done_callback(lambda done: self._note(name, done))

    def _note(self, name: str, done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        node = self.nodes.get(name)
        if error is not None and (node is None or not node.dead):
            self.failed = self.failed or error

    # death

    def _die(self, name: str) -> None:
        """End a process at once; another one takes its place after a while."""
        node = self.nodes.get(name)
        if node is None or node.dead:
            return
        ears = self._ears[name]
        self._end(node)
        if name.startswith("w") and self.fates.stream("witness").random() < 0.5:
            self._bear_witness(name, ears)
        start = self._starts[name]
        later = 0.05 if self.fates.calm else self._chance.random() * self._chance.choice((0.2, 3.0))
        asyncio.get_running_loop().call_later(later, start)

    def _bear_witness(self, name: str, ears: Ears) -> None:
        """The witness of the pool says that a worker has died; what it wrote last may still be on its way."""
        gone = msgspec.json.encode(Heartbeat(worker=name, leaving=True, gone=True))
        saying = asyncio.create_task(ears.send(heartbeat_subject(name), gone))
        self._burials.add(saying)
        saying.add_done_callback(self._burials.discard)

    def _end(self, node: Node) -> None:
        node.dead = True
        linger(node, self.fates)
        self._ears.pop(node.name).close()
        self.deciders.pop(node.name, None)
        task = self._running.pop(node.name)
        task.cancel()
        burial = asyncio.create_task(_bury(task))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    async def _misfortunes(self) -> None:
        """What happens to processes while they do nothing in particular."""
        while True:
            await asyncio.sleep(0.25)
            if self.fates.strikes("decider_killed", 0.25):
                self._die(self.fates.stream("decider_killed.who").choice(sorted(self.deciders) or ["nobody"]))
            alive = [node for name, node in sorted(self.nodes.items()) if not node.dead]
            if alive and self.fates.strikes("clock_jump", 0.25):
                node = self.fates.stream("clock_jump.who").choice(alive)
                node.offset += self.fates.size("clock_jump", -_JUMP_S, _JUMP_S)
            if self.fates.strikes("nonsense", 0.25):
                await self._talk_nonsense()

    async def _talk_nonsense(self) -> None:
        chance = self.fates.stream("nonsense.what")
        script = chance.choice(self.scenario.scripts)
        noun = chance.choice(("task.ready", "goal.achieved", "action.dispatched", "world.confirmed"))
        await self.log.store(f"events.{script.tenant}.{script.mission}.{noun}", b"no event at all", uuid7())

    def calm_down(self) -> None:
        """No misfortune from now on: clocks that have jumped are set right, whoever is frozen comes back."""
        self.fates.calm = True
        for node in self.nodes.values():
            node.offset = max(-node.wrong_s, min(node.wrong_s, node.offset))
            node.frozen_until = min(node.frozen_until, node.monotonic() + 1.0)

    def replace_deciders(self) -> None:
        """Everybody who decides dies at once, and others start."""
        for name in list(self.deciders):
            self._die(name)

    async def close(self) -> None:
        """End everything."""
        if (fate := self._running.pop("fate", None)) is not None:
            fate.cancel()
        for node in list(self.nodes.values()):
            if not node.dead:
                self._end(node)
        if self._burials:
            await asyncio.wait(self._burials)

    # asking

    async def ask(self, command: Command, patience: int = 1000) -> CommandReply | None:
        """Send a command until somebody answers, each time with the same id."""
        for _ in range(patience):
            with contextlib.suppress(TimedOut):
                return await self.commands.send(command, timeout_s=3.0)
        return None


async def _bury(task: asyncio.Task[None]) -> None:
    """Wait until a process is gone. What it cries out in dying is of no interest."""
    with contextlib.suppress(BaseException):
        await task
