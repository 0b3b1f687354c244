"""Our side: a process with the roles, a worker pool, NATS and Valkey, and a submitter that uses the public client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.measuring import SETTLE_S, CpuMeter, Latency, Round
from benchmarks.processes import module
from benchmarks.servers import servers
from benchmarks.shapes import Shape
from benchmarks.verifying import Execution, NotTheSameWork, check
from schemas.envelope import Event, moment_of
from schemas.errors import NotBegun, Unavailable
from schemas.events import parse
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskReady
from stigmergy import Client, MissionHandle, Plan, Settings, TaskSpec
from stigmergy.roles import everywhere

NAME = "ours"
_JOIN_TRIES = 20


@dataclass(frozen=True)
class Hosting:
    """How our side is hosted.

    Attributes:
        concurrency: workers in the pool.
        kind: Celery's kind of pool.
        split: a process for each role, instead of one for both.
        profile: folder for a cProfile of each process with roles; times are not comparable then.
    """

    concurrency: int = 2
    split: bool = False
    kind: str = "prefork"
    profile: Path | None = None


class Ours:
    """Runs shapes on a stack that is up."""

    name = NAME

    def __init__(self, settings: Settings, roots: dict[str, int]) -> None:
        self.settings = settings
        self.roots = roots
        self._meter = CpuMeter(roots)

    def run(self, shape: Shape, timeout_s: float) -> Round:
        """Submit the shape as one mission and await its outcome. Raises :class:`NotTheSameWork`."""
        return asyncio.run(self._run(shape, timeout_s))

    async def _run(self, shape: Shape, timeout_s: float) -> Round:
        plan = plan_of(shape)
        async with Client(self.settings) as client:
            self._meter.start()
            begin = time.perf_counter()
            mission = await client.submit(shape.title, plan=plan, timeout_s=timeout_s)
            submitted = time.perf_counter()
            outcome = await mission.outcome(timeout_s=timeout_s)
            end = time.perf_counter()
            await asyncio.sleep(SETTLE_S)
            cpu_s = self._meter.spent()
            if outcome.status != "completed":
                raise NotTheSameWork(f"{NAME}, {shape.title}: the mission {outcome.status}", hint=str(outcome.failure))
            executions = await read_executions(mission)
        check(NAME, shape, executions)
        return Round(
            tasks=len(shape),
            executions=len(executions),
            submit_s=submitted - begin,
            seconds=end - begin,
            cpu_s=cpu_s,
            dispatch=Latency.of(one.started_s - one.ready_s for one in executions),
            begin=_begin(executions) if shape.kind == "chain" else None,
            step=_step(executions) if shape.kind == "chain" else None,
        )

    async def await_workers(self, concurrency: int) -> None:
        """Return when the whole pool has joined the fleet. Raises :class:`Unavailable`."""
        async with Client(self.settings) as client:
            for _ in range(_JOIN_TRIES + concurrency):  # each listens for a second; two cores start about two in one
                if len(await client.workers()) >= concurrency:
                    return
        raise Unavailable(f"fewer than {concurrency} workers have joined", hint="the log of the pool says why")


def plan_of(shape: Shape, *, sleep_s: float = 0.0) -> Plan:
    """The shape as a plan for the smallest agent, which sleeps for so long in each task."""
    inputs = {"sleep_s": sleep_s} if sleep_s else {}
    tasks = (TaskSpec(id=task, skill="echo", needs=needs, inputs=inputs) for task, needs in shape.needs.items())
    return Plan(tasks=tuple(tasks))


async def read_executions(mission: MissionHandle) -> list[Execution]:
    """What the log says: an execution for each claim. Raises :class:`NotTheSameWork` for one without an end."""
    ready: dict[tuple[str, int], float] = {}
    started: dict[tuple[str, int], Event] = {}
    executions = []
    async for event in mission.events(follow=False):
        payload = parse(event) if event.type in (TaskReady.TYPE, AttemptStarted.TYPE, AttemptFinished.TYPE) else None
        match payload:
            case TaskReady():
                ready[payload.task, payload.attempt] = _seconds(event)
            case AttemptStarted():
                started[payload.task, payload.attempt] = event
            case AttemptFinished() if payload.failure is None or payload.failure.code != NotBegun.code:
                key = payload.task, payload.attempt
                executions.append(_execution(ready[key], started[key], event, payload))
    if len(executions) != len(started):
        raise NotTheSameWork(f"{len(started)} attempts were claimed, {len(executions)} ended", hint="see their log")
    return executions


def _execution(ready_s: float, start: Event, end: Event, payload: AttemptFinished) -> Execution:
    return Execution(
        task=payload.task,
        ready_s=ready_s,
        started_s=_seconds(start),
        # A claim is stamped before it is on the log, and work begins after. Exact where an attempt is reported alone.
        begun_s=_seconds(end) - payload.observation.duration_s,
        began=(start.sequence, start.index),
        ended=(end.sequence, end.index),
    )


def _begin(executions: Sequence[Execution]) -> Latency | None:
    return Latency.of(one.begun_s - one.ready_s for one in executions)


def _step(executions: Sequence[Execution]) -> Latency | None:
    starts = sorted(one.started_s for one in executions)
    return Latency.of(after - before for before, after in pairwise(starts))


def _seconds(event: Event) -> float:
    return moment_of(event).timestamp()


@contextmanager
def ours(folder: Path, hosting: Hosting) -> Iterator[Ours]:
    """The whole stack below ``folder``, warm enough to take missions. Raises ToolMissing, Unavailable."""
    folder.mkdir()
    with ExitStack() as stack:
        up = stack.enter_context(servers(folder))
        roots = {}
        for roles in [(role,) for role in everywhere()] if hosting.split else [everywhere()]:
            arguments = ("roles", *roles, *_profile(hosting.profile, roles))
            label = roles[0] if hosting.split else "roles"
            roots[label] = stack.enter_context(module("benchmarks.hosting", arguments, up.env, folder))
        pool = ("workers", str(hosting.concurrency), "--kind", hosting.kind)
        roots["workers"] = stack.enter_context(module("benchmarks.hosting", pool, up.env, folder))
        side = Ours(up.settings, {**roots, "nats": up.nats.pid, "valkey": up.valkey.pid})
        asyncio.run(side.await_workers(hosting.concurrency))
        yield side


def _profile(folder: Path | None, roles: tuple[str, ...]) -> tuple[str, ...]:
    return () if folder is None else ("--profile", str(folder.absolute() / f"{'+'.join(roles)}.pstats"))
