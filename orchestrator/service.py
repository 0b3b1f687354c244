"""The orchestrator as a process: commands in, decisions on the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from events.commands import CommandBus
from events.leadership.group import Group
from events.port import Log
from events.signals import Signals
from orchestrator.admission import Limits, open_tasks
from orchestrator.coordination.pace import Pace
from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import FOLDED_TYPES, GUARDED_NOUNS, evolve
from orchestrator.core.facts import Fact
from orchestrator.core.forking import Recording
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.desks import Desk, Desks
from orchestrator.partitions import Chronicle, Partitions
from orchestrator.peers import Peers
from orchestrator.planning import Planner, check_plan
from orchestrator.recalling import Recordings, from_log, read_recording
from orchestrator.recording import Clock, Recorder
from orchestrator.replanning import Replanning
from orchestrator.stopping import Stopping
from schemas.commands import (
    BallotCommand,
    CancelMission,
    Command,
    CommandReply,
    ForkMission,
    MissionCommand,
    ResumeWork,
    StopWork,
    SubmitMission,
)
from schemas.errors import InvalidInput, InvalidWorkflow, LogUnavailable, Refused
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.command import CommandRefused
from schemas.events.orchestrator import OrchestratorTookOver
from schemas.events.task import TaskStuck
from schemas.plan import Plan
from schemas.replicas import OpenTasks

_log = logging.getLogger(__name__)
_TRIES = 20


class MissionRules:
    """How missions are folded and moved on; see :mod:`orchestrator.core`.

    Args:
        stuck: called when a task waits for the planner.
    """

    def __init__(self, stuck: Callable[[], None] = lambda: None) -> None:
        self._stuck = stuck
        self.pace = Pace()

    # Of other roles' nouns only what is folded, and frames, which may hold it: every message costs a wake-up.
    subjects: tuple[str, ...] = (
        *(f"{noun}.>" for noun in GUARDED_NOUNS),
        *(name for name in FOLDED_TYPES if name.partition(".")[0] not in GUARDED_NOUNS),
        *sorted(
            {f"{name.partition('.')[0]}._" for name in FOLDED_TYPES if name.partition(".")[0] not in GUARDED_NOUNS}
        ),
    )

    decides_on: tuple[str, ...] = ("mission.>", "world.>", "action.>")

    def fresh(self, tenant: str, mission: str) -> Mission:
        return Mission(tenant=tenant, id=mission)

    def evolve(self, state: Mission, fact: Fact) -> Mission:
        return evolve(state, fact)

    def advance(self, state: Mission, now: datetime) -> list[Payload]:
        return advance(state, now)

    def timer(self, state: Mission) -> datetime | None:
        return state.next_timer

    def seen(self, state: Mission) -> dict[str, int]:
        return dict(state.seen)

    def ended(self, state: Mission) -> bool:
        return state.status.ended or state.status is MissionStatus.NEW

    def idle(self, state: Mission) -> bool:
        return not state.agenda and not state.timers

    def read(self, before: Mission, fact: Fact) -> None:
        """Learn how long skills take, and what is stuck; all else that follows is decided by :meth:`advance`."""
        if isinstance(fact.payload, TaskStuck):
            self._stuck()
        if isinstance(fact.payload, AttemptFinished) and fact.payload.outcome == "succeeded" and fact.payload.skill:
            self.pace.took(fact.payload.skill, fact.payload.observation.duration_s)

    def recorded(self, state: Mission, facts: Sequence[tuple[Payload, str]]) -> None:
        """The log is all that an orchestrator acts upon."""

    def taken_up(self, state: Mission) -> None:
        """Nothing is kept beside the state."""

    def put_down(self, state: Mission) -> None:
        """Nothing is kept beside the state."""


class Orchestrator:
    """Turns commands and outcomes into decisions. Any number of them may run.

    In a group each leads its partitions of the missions. Commands are carried out by whoever takes them.

    Args:
        log, commands: the bus.
        planner: makes a plan of an objective.
        name: who this is, a token unique among the running orchestrators.
        clock: gives the present instant, aware.
        recordings: the events of a mission from its first on, for forks; the log alone if it is left out.
        planner_timeout_s: how long the planner may think about a task that is stuck.
        limits: how much may be open before submitters are told to slow down, or are refused.
        group: with whom it shares missions out; without it, it decides everything.
        signals: where the members of the group tell one another how much is open.
        tenant: where it is noted that one follows another.
    """

    def __init__(
        self,
        log: Log,
        commands: CommandBus,
        planner: Planner,
        *,
        name: str,
        clock: Clock,
        recordings: Recordings | None = None,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        planner_timeout_s: float = 120.0,
        group: Group | None = None,
        signals: Signals | None = None,
        tenant: str = "default",
    ) -> None:
        self._log = log
        self._recordings = recordings or from_log(log)
        self._commands = commands
        self._planner = planner
        self._clock = clock
        self._limits = limits
        self._recorder = Recorder(log, f"/orchestrator/{name}", clock)
        self._replanning = Replanning(planner, timeout_s=planner_timeout_s)
        self._stopping = Stopping(log, self._recorder)
        self._rules = MissionRules(self._replanning.notice)
        self._partitions: Partitions[Mission] | None = None
        if group is not None:
            self._partitions = Partitions(group, Chronicle(log, self._recorder, OrchestratorTookOver, tenant))
        self.desks: Desks[Mission] = Desks(log, self._rules, self._recorder, clock, self._partitions)
        self._peers: Peers[OpenTasks] | None = None
        if group is not None and signals is not None:
            self._peers = Peers(signals, group, OpenTasks, lambda: OpenTasks(group.who, self._open_tasks()))

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled. ``ready`` is set when commands are taken, and what it leads at once is at hand."""
        if self._partitions is not None:
            beside = [self._replanning.run(self.desks), *([self._peers.run()] if self._peers is not None else [])]
            await self._partitions.lead(self.desks, ready, self._commands.serve(self.handle), *beside)
            return
        await self.desks.load_open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.desks.follow())
            group.create_task(self._replanning.run(self.desks))
            group.create_task(self._commands.serve(self.handle))
            if ready is not None:
                ready.set()

    async def handle(self, command: Command) -> CommandReply:
        """Carry out one command, or refuse it and leave a note of the refusal on the log."""
        try:
            plan, origin, load = None, None, None
            if isinstance(command, StopWork | ResumeWork):
                await self._stopping.carry_out(command)
                return CommandReply(accepted=True, mission=command.mission)
            if isinstance(command, SubmitMission):
                load = self._admit(command)
                command, plan = await self._plan(command)
            elif isinstance(command, ForkMission):
                if command.plan is not None:
                    check_plan(command.plan)
                origin = await read_recording(self._recordings, command.tenant, command.origin, command.at)
            await self._carry_out(command, plan, origin)
        except (Refused, InvalidInput) as error:
            await self._note_refusal(command, error)
            return CommandReply(
                accepted=False, mission=command.mission, code=error.code, reason=error.message, hint=error.hint
            )
        if load is None or load <= self._limits.busy_above:
            return CommandReply(accepted=True, mission=command.mission)
        return CommandReply(
            accepted=True, mission=command.mission, busy=True, open_tasks=load, busy_above=self._limits.busy_above
        )

    def _admit(self, command: SubmitMission) -> int:
        """How many tasks of the tenant are open. Raises :class:`Busy` if they are too many for this submission."""
        others = sum(peer.tenants.get(command.tenant, 0) for peer in (self._peers.said if self._peers else ()))
        load = others + open_tasks(desk.state for desk in self.desks.all() if desk.tenant == command.tenant)
        self._limits.check(load, command)
        return load

    def _open_tasks(self) -> dict[str, int]:
        """Of each tenant, in the missions that are led here."""
        counts: dict[str, int] = {}
        for desk in self.desks.all():
            counts[desk.tenant] = counts.get(desk.tenant, 0) + open_tasks([desk.state])
        return counts

    async def _plan(self, command: SubmitMission) -> tuple[SubmitMission, Plan]:
        """The plan, and the command with the inputs that it leaves to their defaults."""
        if command.plan is not None:
            if command.strategy is not None:
                raise InvalidWorkflow("a plan made by hand has no strategies", hint="choose when you make the plan")
            check_plan(command.plan)
            return command, command.plan
        inputs = self._planner.complete(command.workflow, command.inputs)
        plan = await self._planner.plan(
            command.objective, command.workflow, inputs, strategy=command.strategy, pace=self._rules.pace
        )
        return command.model_copy(update={"inputs": inputs}), plan

    async def _carry_out(self, command: MissionCommand, plan: Plan | None, origin: Recording | None) -> None:
        async with self.desks.visiting(command.tenant, command.mission) as desk:
            for _ in range(_TRIES):
                async with desk.lock:
                    payloads = await self._decision(desk, command, plan, origin)
                    if not payloads or await self._record(desk, command, payloads):
                        break
            else:
                raise LogUnavailable(f"mission {command.mission!r} changes faster than {command.verb!r} can be decided")
            if isinstance(command, CancelMission):
                # Nobody looks at an ended mission again. Without an answer, the command comes to a successor.
                await self.desks.settle(desk)
            self.desks.touch(desk)

    async def _decision(
        self, desk: Desk[Mission], command: MissionCommand, plan: Plan | None, origin: Recording | None
    ) -> list[Payload]:
        """What grants the command. That nothing is to be done, or nothing may be, is only said once all that is on
        record of the mission was read: another orchestrator may have granted something a moment ago."""
        try:
            if payloads := decide(desk.state, command, self._clock(), plan=plan, origin=origin):
                return payloads
        except Refused:
            _log.debug("%s looks as if it had to be refused", command.verb)
        await self.desks.catch_up(desk, "ballot" if isinstance(command, BallotCommand) else "mission")
        return decide(desk.state, command, self._clock(), plan=plan, origin=origin)

    async def _record(self, desk: Desk[Mission], command: MissionCommand, payloads: list[Payload]) -> bool:
        if isinstance(command, SubmitMission | ForkMission):
            desk.correlation, desk.traceparent = command.id, command.traceparent
        return await self.desks.record(desk, payloads, cause=command.id)

    async def _note_refusal(self, command: Command, error: Refused | InvalidInput) -> None:
        payload = CommandRefused(verb=command.verb, code=error.code, reason=error.message[:2000], hint=error.hint)
        event = self._recorder.event(command.tenant, command.mission, payload, command.id, command.id)
        await self._log.append([event])
