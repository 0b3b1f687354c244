"""A whole fleet in one process: orchestrators, task-queue managers and workers, and the misfortunes they meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from events.leadership.group import Group
from events.port import Log
from orchestrator.desks import Desk
from orchestrator.planning import Impasse
from orchestrator.service import Orchestrator
from orchestrator.task_queue.service import TaskQueueManager
from orchestrator.task_queue.standby import StandbySender
from schemas.commands import Command, CommandReply
from schemas.errors import TimedOut
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from schemas.signals import Heartbeat, heartbeat_subject
from tests.simulation.celery_queue import Queue
from tests.simulation.checker import CheckedLog, Checker
from tests.simulation.fates import Fates
from tests.simulation.features import FEATURES, KNOWN_RATES
from tests.simulation.node import Node
from tests.simulation.rough import Air, Ears, RoughCommands, RoughLog, linger
from tests.simulation.scenario import SKILLS, Scenario, Script, Wish
from tests.simulation.worker import Worker

_SKEW_S = 1.5
_FAR_S = 3600.0
_DRIFT = 1e-4
_JUMP_S = 20.0

type Life = Callable[[Node, Log, Ears], Coroutine[Any, Any, None]]
"""Makes what a process does."""


class NoPlanner:
    """Every submission brings its plan, and there is no other way."""

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any]) -> Plan:
        raise NotImplementedError

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        return ()


class Fleet:
    """Everything that runs, and the log that outlives it."""

    def __init__(self, scenario: Scenario) -> None:
        if unknown := sorted(set(scenario.rates) - set(KNOWN_RATES)):
            raise ValueError(f"unknown kinds of misfortune: {', '.join(unknown)}")
        self.scenario = scenario
        self._true = asyncio.get_running_loop().time
        self.fates = Fates(scenario.seed, scenario.rates, scenario.only, self._true)
        self.log = CheckedLog()
        self.judges = [feature.part(self) for feature in FEATURES.values()]
        self.parts = [part for part, name in zip(self.judges, FEATURES, strict=True) if name in scenario.features]
        self.checker = self.log.checker = Checker(self.desks, [part.laws for part in self.judges])
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
            self.process("o", self._orchestrator)
        for _ in range(self.scenario.managers):
            self.process("q", self._manager)
        for number in range(self.scenario.workers):
            # The first can do everything, so that everything can be done.
            skills = SKILLS if number == 0 else self._chance.choice((SKILLS, SKILLS[:1], SKILLS[1:]))
            self.process("w", partial(self._worker, skills))
        for part in self.parts:
            part.start()
        self._launch("fate", self._misfortunes())
        for number, part in enumerate(self.parts):
            self._launch(f"part {number}", part.live())

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

    def process(self, kind: str, life: Life) -> None:
        """Start a process; if it dies, another one of its kind takes its place.

        Args:
            kind: a letter, with which its names begin.
            life: makes what it does, given the node, its view of the log, and its ears.
        """
        node = self._node(kind)
        self._starts[node.name] = lambda: self.process(kind, life)
        self._launch(node.name, life(node, RoughLog(self.log, node, self.fates), self._ears[node.name]))

    def _orchestrator(self, node: Node, log: Log, ears: Ears) -> Coroutine[Any, Any, None]:
        more = {name: value for part in self.parts for name, value in part.orchestrator().items()}
        planner = more.pop("planner", None) or NoPlanner()
        more |= {"group": self._group("orchestrator", node), "signals": ears}
        made = Orchestrator(log, self.commands, planner, name=node.name, clock=node.clock, **more)
        self.deciders[node.name] = made
        return made.run()

    def _manager(self, node: Node, log: Log, ears: Ears) -> Coroutine[Any, Any, None]:
        made = TaskQueueManager(
            log,
            ears,
            lambda _: StandbySender(self.queue, ears, node.monotonic),
            name=node.name,
            clock=node.clock,
            monotonic=node.monotonic,
            group=self._group("task-queue", node),
        )
        self.deciders[node.name] = made
        return made.run()

    def _group(self, role: str, node: Node) -> Group | None:
        return next((group for part in self.parts if (group := part.group(role, node)) is not None), None)

    def _worker(self, skills: tuple[str, ...], node: Node, log: Log, ears: Ears) -> Coroutine[Any, Any, None]:
        return Worker(node, log, ears, self.queue, self.fates, skills, self.parts, self.checker.begins).run()

    def _launch(self, name: str, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._running[name] = task
        task.add_done_callback(lambda done: self._note(name, done))

    def _note(self, name: str, done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        node = self.nodes.get(name)
        if error is not None and (node is None or not node.dead):
            self.failed = self.failed or error

    def ears(self) -> Ears:
        """Ears of somebody who is no process of the fleet."""
        return Ears(self._air)

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
        for name in ("fate", *(f"part {number}" for number in range(len(self.parts)))):
            if (task := self._running.pop(name, None)) is not None:
                task.cancel()
        for node in list(self.nodes.values()):
            if not node.dead:
                self._end(node)
        if self._burials:
            await asyncio.wait(self._burials)

    # asking

    async def wish(self, script: Script, wish: Wish) -> None:
        """Carry out what a feature knows of; a feature that was switched off wishes nothing."""
        knowing = [part for part in self.judges if wish.verb in part.verbs]
        if not knowing:
            raise ValueError(f"nobody knows the wish {wish.verb!r}")
        if knowing[0] in self.parts:
            await knowing[0].verbs[wish.verb](script, wish)

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
