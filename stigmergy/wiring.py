"""The composition root: the one place where ports meet their adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nats.aio.client import Client as NatsClient

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.commands import JetStreamCommands
from events.port import Log
from events.services import NatsServices
from events.signals import NatsSignals
from schemas.errors import InvalidInput, ToolMissing, Unavailable
from schemas.ids import process_name
from schemas.shares import parse_bounds, parse_weights
from stigmergy.archiving import recordings_of
from stigmergy.grouping import make_group
from stigmergy.local import LocalStack
from stigmergy.scaling.policy import Rules
from stigmergy.settings import Settings

if TYPE_CHECKING:
    from orchestrator.service import Orchestrator
    from orchestrator.task_queue.service import TaskQueueManager
    from projections.analytics.queries.answering import AnsweringAnalytics
    from projections.analytics.queries.port import QueryEngine
    from projections.world.role import WorldRole
    from projections.world.scripts import Connection
    from stigmergy.scaling.metric import BacklogMetric
    from stigmergy.scaling.role import ScalerRole
    from workers.process import WorkerSettings

_log = logging.getLogger(__name__)

# Roles are imported by whoever hosts them: a client should not wait a second for Celery and Redis.


@dataclass(frozen=True, slots=True)
class Bus:
    """One connection to NATS and what is spoken over it.

    Attributes:
        shared: the log for roles that decide; :mod:`stigmergy.one_reader` makes those of a process share a reader.
    """

    nc: NatsClient
    log: JetStreamLog
    shared: Log
    commands: JetStreamCommands
    signals: NatsSignals


def now() -> datetime:
    """The clock of every process of ours: aware, in UTC."""
    return datetime.now(UTC)


def nats_url(settings: Settings) -> str:
    """Where NATS is: the configured server, or the embedded one of the state directory if it runs.

    Raises:
        Unavailable: neither.
    """
    if settings.nats_url is not None:
        return _with_token(settings)
    url = LocalStack(settings).endpoints().nats_url.get_secret_value()
    if not url:
        raise _nothing_runs(settings, "NATS", "STIGMERGY_NATS_URL")
    return url


def redis_url(settings: Settings) -> str:
    """Where Redis is; as :func:`nats_url`."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    url = LocalStack(settings).endpoints().redis_url.get_secret_value()
    if not url:
        raise _nothing_runs(settings, "Redis", "STIGMERGY_REDIS_URL")
    return url


def _with_token(settings: Settings) -> str:
    assert settings.nats_url is not None
    url = settings.nats_url.get_secret_value()
    if settings.nats_token is None:
        return url
    secret = settings.nats_token.get_secret_value()
    return ",".join(part if "@" in part else part.replace("://", f"://{secret}@", 1) for part in url.split(","))


def _nothing_runs(settings: Settings, what: str, variable: str) -> Unavailable:
    return Unavailable(
        f"no {what} is configured and none runs in {settings.state_dir}",
        hint=f"`stig dev --detach` starts everything on this machine; {variable} names a server that is there",
    )


@asynccontextmanager
async def open_bus(settings: Settings, *, name: str, migrate: bool = False) -> AsyncIterator[Bus]:
    """Connect, and make the streams that are missing; with ``migrate`` those that differ are changed as well.

    Raises:
        LogUnavailable: NATS does not answer, is too old, or its streams cannot be used.
    """
    nc = await connect(nats_url(settings), name=name)
    try:
        await ensure_streams(nc, replicas=settings.nats_replicas, migrate=migrate)
        log = await JetStreamLog.open(nc)
        yield Bus(nc, log, log, await JetStreamCommands.open(nc), NatsSignals(nc))
    finally:
        if not nc.is_closed:
            await nc.close()


def make_orchestrator(bus: Bus, settings: Settings | None = None) -> Orchestrator:
    """An orchestrator over a bus, with the planner of the settings.

    With settings it forks missions of which the log has forgotten a part and the archive has not.
    """
    from orchestrator.admission import Limits
    from orchestrator.service import Orchestrator
    from stigmergy.planners import load_planner

    planner = load_planner("" if settings is None else settings.planner)
    patience = 120.0 if settings is None else settings.planner_timeout_s
    recordings = None if settings is None else recordings_of(bus, settings)
    limits = Limits() if settings is None else Limits(settings.busy_above, settings.refuse_above)
    name = process_name()
    return Orchestrator(
        bus.shared,
        bus.commands,
        planner,
        name=name,
        clock=now,
        recordings=recordings,
        limits=limits,
        planner_timeout_s=patience,
        group=None if settings is None else make_group(bus.nc, settings, "orchestrator", name),
        signals=bus.signals,
        tenant="default" if settings is None else settings.tenant,
    )


def make_task_queue(bus: Bus, settings: Settings) -> TaskQueueManager:
    """A task-queue manager over a bus, sending to Celery's queues in Redis."""
    from orchestrator.task_queue.service import TaskQueueManager
    from stigmergy.sending import make_sender

    name, weights = process_name(), parse_weights(settings.tenant_weights)
    return TaskQueueManager(
        bus.shared,
        bus.signals,
        make_sender(redis_url(settings), bus.signals, settings),
        name=name,
        clock=now,
        tenant=settings.tenant,
        lease_s=settings.worker_lease_s,
        grace_s=settings.skill_grace_s,
        services=NatsServices(bus.nc),
        group=make_group(bus.nc, settings, "task-queue", name),
        tenant_weight=lambda tenant: weights.get(tenant, 1.0),
        priority_step=settings.priority_step,
    )


def make_scaler(bus: Bus, settings: Settings) -> ScalerRole:
    """The role that keeps pools of this machine between the bounds of the settings, while it holds the seat.

    Raises:
        InvalidInput: the settings bound nothing.
    """
    from stigmergy.scaling.pools import LocalPools
    from stigmergy.scaling.role import ScalerRole

    bounds = parse_bounds(settings.scale)
    if not bounds:
        raise InvalidInput("there is nothing to scale", hint="set STIGMERGY_SCALE, for instance test:0..4,code:1..2")
    rules = Rules(bounds, settings.scale_tasks, settings.scale_cool_s)
    return ScalerRole(bus, settings, rules, LocalPools(bus.signals, settings), name=process_name())


def make_backlog(bus: Bus, settings: Settings) -> BacklogMetric:
    """The role that tells autoscalers what waits. Raises InvalidInput if the address of the settings is none."""
    from stigmergy.scaling.metric import BacklogMetric

    return BacklogMetric(NatsServices(bus.nc), settings.tenant, settings.backlog_listen)


def world_redis(settings: Settings) -> Connection:
    """A client of the world model's Redis, which connects when it is used; as :func:`redis_url`."""
    from projections.world.connecting import connect as connect_redis

    own = settings.world_url
    return connect_redis(own.get_secret_value() if own is not None else redis_url(settings))


def make_world(bus: Bus, settings: Settings) -> WorldRole:
    """The role that folds the log into the world model, and answers questions about it."""
    from events.services import NatsServices
    from projections.world.role import WorldRole

    return WorldRole(bus.log, world_redis(settings), keep_s=settings.world_keep_s, services=NatsServices(bus.nc))


def make_analytics(bus: Bus, settings: Settings) -> AnsweringAnalytics:
    """The role that follows the log into ClickHouse, or into chDB in the state directory, and answers questions.

    Raises:
        ToolMissing: pyarrow, clickhouse-connect or chDB is not installed.
        InvalidInput: the URL of the settings names no server, or no database.
    """
    try:
        from projections.analytics.ddl import Layout
        from projections.analytics.engine import open_engine
        from projections.analytics.following import AnalyticsRole
        from projections.analytics.queries.answering import AnsweringAnalytics
    except ModuleNotFoundError as error:
        raise _no_arrow(error) from error
    url = settings.clickhouse_url
    engine = open_engine(str(settings.state_dir / "analytics") if url is None else url.get_secret_value())
    layout = Layout(raw_days=settings.analytics_days, cluster=settings.clickhouse_cluster)
    role = AnalyticsRole(bus.log, engine, writer=process_name(), layout=layout)
    return AnsweringAnalytics(role, NatsServices(bus.nc))


def _no_arrow(error: ModuleNotFoundError) -> Exception:
    if (error.name or "").partition(".")[0] != "pyarrow":
        return error
    return ToolMissing("analytics need pyarrow", hint="pip install 'stigmergy[analytics]'")


@asynccontextmanager
async def open_queries(settings: Settings, nc: NatsClient | None = None) -> AsyncIterator[QueryEngine]:
    """Whoever answers questions: the ClickHouse server of the settings, else the process that has the engine.

    Args:
        nc: a connection to NATS that is there already.

    Raises:
        ToolMissing: there is a server, but no clickhouse-connect.
        Unavailable: there is no server, and NATS does not answer.
    """
    if settings.clickhouse_url is None:
        from projections.analytics.queries.service import RemoteQueries

        used = nc or await connect(nats_url(settings), name="queries")
        try:
            yield RemoteQueries(NatsServices(used))
        finally:
            if nc is None and not used.is_closed:
                await used.close()
        return
    try:
        from projections.analytics.engine import open_engine
        from projections.analytics.queries.clickhouse import ClickHouseQueries
        from projections.analytics.queries.sessions import sessions_of
    except ModuleNotFoundError as error:
        raise _no_arrow(error) from error
    engine = open_engine(settings.clickhouse_url.get_secret_value())
    sessions = sessions_of(engine)
    try:
        yield ClickHouseQueries(sessions, engine.database)
    finally:
        await asyncio.to_thread(sessions.close)


def worker_settings(
    settings: Settings,
    *,
    skills: tuple[str, ...] | None,
    imports: tuple[str, ...],
    sandbox: str | None,
    may_exit: bool,
    labels: dict[str, str] | None = None,
    grace_s: float = 300.0,
    memory_mb: int = 0,
    pool: str = "",
) -> WorkerSettings:
    """What a worker process needs to know."""
    from workers.process import WorkerSettings

    return WorkerSettings(
        nats_url=nats_url(settings),
        redis_url=redis_url(settings),
        state_dir=str(settings.state_dir),
        tenant=settings.tenant,
        skills=skills,
        imports=imports,
        sandbox=sandbox,
        heartbeat_s=settings.heartbeat_s,
        may_exit=may_exit,
        labels=dict(labels or {}),
        grace_s=grace_s,
        memory_mb=memory_mb,
        pool=pool,
    )
