"""What the tests of the analytics share: events of all kinds, sinks and servers as processes, and the judge."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.port import Log, Window
from schemas.envelope import Event, rfc3339
from schemas.errors import StigmergyError
from schemas.ids import uuid7


def needs_chdb() -> None:
    """At home the analytics may be left out; in CI they may not."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("pyarrow")
        pytest.importorskip("clickhouse_connect")
        pytest.importorskip("chdb")


needs_chdb()

from projections.analytics.ddl import TABLES, Layout, migrations  # noqa: E402
from projections.analytics.engine import ServerEngine  # noqa: E402
from projections.analytics.following import AnalyticsRole  # noqa: E402
from projections.analytics.gathering import Limits  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE_S = 90.0
QUICK = Limits(rows=400, seconds=0.05, retry_s=0.05)
_OUTCOMES = ("succeeded", "failed", "timed_out")


def fact(
    type_: str, data: dict[str, Any] | bytes, *, mission: str = "m1", tenant: str = "acme", at: datetime | None = None
) -> Event:
    raw = data if isinstance(data, bytes) else msgspec.json.encode(data)
    moment = at or datetime.now(UTC)
    return Event(
        id=uuid7(),
        source="/test",
        type=type_,
        time=rfc3339(moment),
        tenant=tenant,
        mission=mission,
        subject="t",
        correlationid="c",
        data=msgspec.Raw(raw),
    )


def team(chance: random.Random, many: int) -> list[Event]:
    """What a team writes: several tenants, missions, agents, tools and months."""
    return [_one(chance) for _ in range(many)]


def _one(chance: random.Random) -> Event:
    about: dict[str, Any] = {"task": f"t{chance.randrange(20)}", "attempt": chance.randrange(1, 4)}
    outcome, seconds = chance.choice(_OUTCOMES), round(chance.expovariate(1), 6)
    failure = {"failure": {"code": "boom", "message": "x"}} if outcome == "failed" else {}
    kinds: dict[str, dict[str, Any]] = {
        "mission.submitted": {"objective": "o", "workflow": "repair"},
        "mission.completed": {},
        "mission.failed": {"failure": {"code": "boom", "message": "x"}},
        "task.ready": {**about, "skill": "edit"},
        "action.dispatched": {**about, "order": {"skill": "edit"}, "queue": "q"},
        "attempt.started": {**about, "worker": f"w{chance.randrange(3)}", "agent": "coder"},
        "attempt.finished": {
            **about, "worker": "w1", "agent": "coder", "skill": "edit", "outcome": outcome,
            "observation": {"duration_s": seconds}, **failure,
        },
        "tool.called": {**about, "tool": "pytest", "outcome": "succeeded", "duration_s": seconds},
        "llm.completed": {
            **about, "model": "large", "agent": "coder", "tokens_in": chance.randrange(9000),
            "tokens_out": chance.randrange(900), "cost_usd": round(chance.random() / 100, 9), "duration_s": seconds,
        },
        "agent.thought": {**about, "text": "hm"},
        "world.violated": {**about, "violations": [{"kind": "tests_pass", "message": "m"}]},
        "note.posted": {"text": "n"},
    }  # fmt: skip
    name = chance.choice(sorted(kinds))
    at = datetime.now(UTC) - timedelta(days=chance.choice((0, 0, 0, 40, 80)))
    place = {"mission": f"m{chance.randrange(5)}", "tenant": f"tenant{chance.randrange(2)}"}
    return fact(name, kinds[name], **place, at=at)


class Sink:
    """A sink in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.position = 0

    async def line(self) -> str:
        assert self.process.stdout is not None
        raw = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S)
        return raw.decode().strip()

    async def until(self, position: int) -> None:
        """Wait until it has inserted everything up to a position."""
        while self.position < position:
            said = await self.line()
            assert said, "the sink ended"
            if said.removeprefix("ready ").isdigit():
                self.position = max(self.position, int(said.removeprefix("ready ")))

    async def refusal(self) -> str:
        """The error with which it ends."""
        said = ""
        while line := await self.line():
            said = line
        assert await asyncio.wait_for(self.process.wait(), PATIENCE_S) == 3
        return said

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def sink(nats_url: str, engine: str, rows: int = 400) -> AsyncIterator[Sink]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "analytics_sink.py"), nats_url, engine, str(rows)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    running = Sink(process)
    try:
        yield running
    finally:
        await running.kill()


@asynccontextmanager
async def server(folder: Path, port: int = 0) -> AsyncIterator[str]:
    """The URL of a ClickHouse over HTTP; its data are in ``folder``, its faults in the file ``folder.faults``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "chdb_server.py"), str(folder), str(port), f"{folder}.faults"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        number = (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().strip()
        yield f"clickhouse://user:secret@127.0.0.1:{number}/stigmergy"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def asked(where: str | ServerEngine, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a question. ``where``: the URL of a server, or a client of it."""
    engine = ServerEngine(where) if isinstance(where, str) else where
    try:
        return [tuple(row) for row in await asyncio.to_thread(engine.query, sql)]
    finally:
        if engine is not where:
            engine.close()


async def database(url: str) -> str:
    base = url.rpartition("/")[2]
    [(name,)] = await asked(url, f"SELECT database FROM {base}.generations ORDER BY number DESC LIMIT 1")
    return str(name)


async def judged(url: str, log: Log, last: int | None = None) -> int:
    """Every event of the log is a row, once; every rollup is what its view makes of the rows. Returns how many rows."""
    where = await database(url)
    expected = sorted([(e.sequence, e.index, e.id, e.type) async for e in log.read(Window(last=last))])
    engine = ServerEngine(url)
    try:
        assert sorted(await asked(engine, f"SELECT sequence, idx, id, type FROM {where}.events")) == expected
        for table in TABLES[1:]:
            shown = await _columns(engine, where, table)
            rollup = await asked(engine, f"SELECT {shown} FROM {where}.{table} FINAL ORDER BY ALL")
            assert rollup == await asked(engine, f"SELECT {shown} FROM ({_view(where, table)}) ORDER BY ALL"), table
    finally:
        engine.close()
    return len(expected)


def _view(where: str, table: str) -> str:
    """What the view of a table selects."""
    begin = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {where}.{table}_view  TO {where}.{table} AS\n"
    [select] = [
        statement.removeprefix(begin)
        for migration in migrations()
        for statement in migration.statements(where, Layout())
        if statement.startswith(begin)
    ]
    return select


async def _columns(engine: ServerEngine, where: str, table: str) -> str:
    asking = f"SELECT name, type FROM system.columns WHERE database = '{where}' AND table = '{table}'"
    shown = [
        f"finalizeAggregation({name})" if kind.startswith("AggregateFunction(") else f"toString({name})"
        for name, kind in await asked(engine, asking)
    ]
    return ", ".join(shown)


@asynccontextmanager
async def role(
    log: Log, where: str | ServerEngine, layout: Layout | None = None, limits: Limits = QUICK
) -> AsyncIterator[AnalyticsRole]:
    """A sink in this process, over HTTP; raises what ends it. ``where``: the URL of a server, or a client of it."""
    engine = ServerEngine(where) if isinstance(where, str) else where
    made, ready = AnalyticsRole(log, engine, writer="test", layout=layout, limits=limits), asyncio.Event()
    running = asyncio.create_task(made.run(ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if running.done():
            running.result()
        yield made
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, StigmergyError):
            await running


async def until(made: AnalyticsRole, position: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await made.position() < position:
            await asyncio.sleep(0.02)
