"""The public API: submit missions, follow them, await their results, publish events of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import msgspec

from events.buffered import BufferedPublisher, OnFailure
from events.codec import FRAME_EVENTS
from events.port import Window
from events.recent import Recent
from events.services import NatsServices
from projections.analytics.queries.port import ROWS, Answer, QueryEngine, Question, collect
from projections.analytics.queries.registry import template
from projections.world.queries import WorldView
from projections.world.remote import RemoteWorld
from schemas.budgets import budget_of
from schemas.commands import (
    Command,
    CommandReply,
    ForkMission,
    SubmitMission,
)
from schemas.envelope import NO_MISSION, Event, rfc3339
from schemas.errors import Busy, InvalidInput, InvalidWorkflow, Refused, StigmergyError
from schemas.events import check_readable, parse
from schemas.forks import ForkChange
from schemas.ids import token, uuid7
from schemas.ownership import OWNERS, Role
from schemas.plan import Plan, StrategyWish
from schemas.signals import Heartbeat
from stigmergy.hearing import hear_workers
from stigmergy.mission_handle import MissionHandle
from stigmergy.missions import MissionRow, list_missions
from stigmergy.settings import Settings
from stigmergy.submitting import submitted
from stigmergy.wiring import Bus, now, open_bus, open_queries


class Client:
    """A connection to a running stack: the embedded one of the state directory, or the servers in ``STIGMERGY_*``.

    ::

        async with Client() as client:
            mission = await client.submit("Say hello", workflow="hello", inputs={"name": "Ada"})
            outcome = await mission.outcome(timeout_s=30)
            print(outcome.status, outcome.result)

    Raises:
        Unavailable: no stack runs and none is configured.
    """

    def __init__(self, settings: Settings | None = None, *, name: str = "client") -> None:
        self.settings = settings or Settings()
        self._name = name
        self._stack = AsyncExitStack()
        self._bus: Bus | None = None
        self._queries: QueryEngine | None = None

    async def __aenter__(self) -> Self:
        self._bus = await self._stack.enter_async_context(open_bus(self.settings, name=self._name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._bus = self._queries = None

    @property
    def bus(self) -> Bus:
        """What the connection carries; for those who need more than this class offers."""
        if self._bus is None:
            raise StigmergyError("the client is not connected", hint="use it as: async with Client() as client")
        return self._bus

    @property
    def world(self) -> WorldView:
        """Questions to the world model: files, tests, tasks, workers, each as of one event.

        ::

            files = await client.world.files(mission, prefix="src/")
            print(files.position, [(file.path, file.content, file.task) for file in files.value])

        Raises Unavailable if nobody serves it (``stig serve world``).
        """
        return WorldView(RemoteWorld(NatsServices(self.bus.nc), self.settings.tenant))

    # missions

    async def submit(
        self,
        objective: str,
        *,
        workflow: str = "",
        plan: Plan | None = None,
        strategy: StrategyWish | None = None,
        inputs: Mapping[str, Any] | None = None,
        budget: Mapping[str, float] | None = None,
        mission: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
        wait_s: float | None = None,
    ) -> MissionHandle:
        """Submit an objective with a workflow's name, or with a plan made by hand.

        Args:
            strategy: how the agents shall work together, where the workflow has strategies; else it chooses.
            budget: what it may spend, for instance ``{"cost": 2.5, "tokens": 200_000}``; see docs/safety.md.
            mission: an id of one's own; submitting the same id twice is refused.
            labels: for people, and ``weight``: its share of the fleet among the tenant's missions, 1 if left out.
            timeout_s: how long to wait for an orchestrator to accept it.
            wait_s: while the system is busy, wait so long before it is submitted; if left out, it is submitted
                nevertheless, and the handle's ``busy`` says so.

        Raises:
            Busy: too much waits already, and ``wait_s`` is over or the system takes no more.
            Refused, InvalidWorkflow: it cannot be done; the message says why.
            InvalidInput: there is no such budget.
            TimedOut: it is kept, but no orchestrator has answered.
        """
        command = SubmitMission(
            id=uuid7(),
            tenant=self.settings.tenant,
            mission=mission or uuid7(),
            objective=objective,
            workflow=workflow,
            plan=plan,
            strategy=strategy,
            budget=budget_of(budget or {}),
            inputs=dict(inputs or {}),
            labels=dict(labels or {}),
            by=self._name,
            if_busy="go" if wait_s is None else "refuse",
        )
        reply = await submitted(self.command, command, timeout_s, wait_s or 0.0)
        return MissionHandle(self, command.mission, busy=reply.open_tasks if reply.busy else 0)

    async def fork(
        self,
        origin: str,
        at: int,
        *,
        changes: Mapping[str, Any] | None = None,
        plan: Plan | None = None,
        rerun: Sequence[str] = (),
        fresh: bool = False,
        mission: str | None = None,
        objective: str = "",
        labels: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> MissionHandle:
        """Begin a mission where another one was at one of its events, with changes; see docs/fork.md.

        What the changes do not touch is taken over from the origin's record and not executed.

        Args:
            at: number of the event within the origin, from 1.
            changes: ``task.ID.output``, ``task.ID.output.PATH`` or ``inputs.PATH`` to the new value.
            plan: instead of the origin's.
            rerun: tasks to execute although nothing touches them.
            fresh: take nothing over that was recorded after the event.
            mission: an id of one's own for the new mission.

        Raises:
            Refused, InvalidWorkflow: it cannot be done; the message says why.
            TimedOut: it is kept, but no orchestrator has answered.
        """
        command = ForkMission(
            id=uuid7(),
            tenant=self.settings.tenant,
            mission=mission or uuid7(),
            origin=token(origin, "mission"),
            at=at,
            changes=tuple(ForkChange(path=path, value=value) for path, value in (changes or {}).items()),
            plan=plan,
            rerun=tuple(rerun),
            fresh=fresh,
            objective=objective,
            labels=dict(labels or {}),
            by=self._name,
        )
        await self.command(command, timeout_s=timeout_s)
        return MissionHandle(self, command.mission)

    async def command(self, command: Command, *, timeout_s: float = 15.0) -> CommandReply:
        """Send any command. Raises :class:`Refused`, or :class:`InvalidWorkflow`, with the orchestrator's reason."""
        reply = await self.bus.commands.send(command, timeout_s=timeout_s)
        if not reply.accepted:
            kind = {InvalidWorkflow.code: InvalidWorkflow, Busy.code: Busy}.get(reply.code, Refused)
            raise kind(reply.reason, hint=reply.hint)
        return reply

    def mission(self, mission: str) -> MissionHandle:
        """A handle on a mission that was submitted earlier."""
        return MissionHandle(self, token(mission, "mission"))

    async def missions(self) -> list[MissionRow]:
        """All missions, newest first."""
        return await list_missions(self.bus.log, self.settings.tenant)

    # events

    async def publish(
        self, type: str, data: Mapping[str, Any], *, mission: str = NO_MISSION, subject: str | None = None
    ) -> Event:
        """Publish one event and wait until the log has it.

        Raises:
            UnknownType, InvalidEvent: the type is not known, or the data does not fit it.
            InvalidInput: the noun belongs to a role of the system.
        """
        return await self.publish_event(self.event(type, data, mission=mission, subject=subject))

    def event(
        self, type: str, data: Mapping[str, Any], *, mission: str = NO_MISSION, subject: str | None = None
    ) -> Event:
        """A new event of this client and tenant; nothing is checked or published yet."""
        return Event(
            id=uuid7(),
            source=f"/client/{self._name}",
            type=type,
            time=rfc3339(now()),
            tenant=self.settings.tenant,
            mission=mission,
            subject=subject,
            data=msgspec.Raw(msgspec.json.encode(data)),
        )

    async def publish_event(self, event: Event) -> Event:
        """Publish an event made elsewhere; publishing it again changes nothing. Raises as :meth:`publish`."""
        self.check(event)
        await self.bus.log.append([event])
        return event

    def publisher(
        self,
        *,
        linger_s: float | None = 0.01,
        frame_events: int = FRAME_EVENTS,
        max_waiting: int = 50_000,
        on_failure: OnFailure | None = None,
        known: Recent | None = None,
    ) -> BufferedPublisher:
        """For many events: they travel in frames, and nobody waits for each; see :class:`BufferedPublisher`.

        ::

            async with client.publisher() as publisher:
                for event in events:
                    await publisher.publish(event)
            print(publisher.report)

        Its ``publish`` raises as :meth:`publish` for an event that may not be published; the others go on.

        Args:
            known: ``Recent(client.bus.log)`` skips events that the log has already, after an earlier run.
        """
        return BufferedPublisher(
            self.bus.log,
            linger_s=linger_s,
            frame_events=frame_events,
            max_waiting=max_waiting,
            on_failure=on_failure,
            check=self.check,
            known=known,
        )

    def check(self, event: Event) -> None:
        """Whether a client may publish it. Raises as :meth:`publish`."""
        check_readable(event)
        parse(event)
        noun = event.type.partition(".")[0]
        if OWNERS.get(noun, Role.CLIENT) is not Role.CLIENT:
            raise InvalidInput(
                f"{event.type} may only be written by the {OWNERS[noun].value}",
                hint="use a command for what you want to happen, or a type of your own for what you know",
            )

    def events(
        self, filters: Sequence[str] | None = None, *, first: int | None = None, follow: bool = True
    ) -> AsyncGenerator[Event]:
        """Events of this tenant in the order of the log.

        Args:
            filters: subjects; all events of the tenant if left out.
            first: sequence to begin with; from now on if left out.
            follow: wait for new ones at the end, or stop there.
        """
        return self._events(tuple(filters or (f"events.{self.settings.tenant}.>",)), first, follow)

    async def _events(self, filters: tuple[str, ...], first: int | None, follow: bool) -> AsyncGenerator[Event]:
        log = self.bus.log
        start = first if first is not None else await log.last_sequence() + 1
        if follow:
            async for batch in log.follow(Window(filters, start)):
                for event in batch.events:
                    yield event
        else:
            async for event in log.read(Window(filters, start)):
                yield event

    # questions

    async def query(self, name: str, /, *, rows: int = ROWS, **parameters: Any) -> Answer:
        """The answer to a query template, as a list of dicts; docs/query.md has all templates.

        ::

            for agent in await client.query("agents", since="2h"):
                print(agent["agent"], agent["p95_s"])

        Args:
            rows: at most so many; ``answer.cut`` says whether there were more.
            parameters: of the template; times as ``2h`` before now, or as datetime.

        Raises:
            InvalidInput: no such template, or a parameter that does not fit.
            Unavailable: no process answers queries.
        """
        values = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in parameters.items()}
        template(name).bind(values, self.settings.tenant, now())
        return await self._ask(Question(template=name, parameters=values, limit=rows))

    async def sql(self, statement: str, /, *, rows: int = ROWS, **parameters: Any) -> Answer:
        """The answer to SQL of one's own, which reads the tables of this tenant; docs/query.md says what may be used.

        ::

            await client.sql("SELECT count() FROM events WHERE type = {type:String}", type="task.failed")

        Raises:
            InvalidInput: the SQL is wrong.
            Refused: it does more than read.
            LimitExceeded: it took too long, or too much memory.
        """
        return await self._ask(Question(sql=statement, parameters=parameters, limit=rows))

    async def _ask(self, question: Question) -> Answer:
        if self._queries is None:
            self._queries = await self._stack.enter_async_context(open_queries(self.settings, self.bus.nc))
        return await collect(self._queries.ask(self.settings.tenant, question))

    async def workers(self, *, listen_s: float = 1.3) -> list[Heartbeat]:
        """Who is there: listens for one heartbeat interval. Raises :class:`Refused` where NATS does not let us."""
        beats: dict[str, Heartbeat] = {}

        def hear(raw: bytes) -> None:
            beat = msgspec.json.decode(raw, type=Heartbeat)
            beats[beat.worker] = beat

        await hear_workers(self.bus.nc, hear)
        await asyncio.sleep(listen_s)
        return sorted((beat for beat in beats.values() if not beat.leaving), key=lambda beat: beat.worker)
