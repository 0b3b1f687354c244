"""A running `stig serve analytics` with a recorded history in it, over each kind of engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from events.jetstream import JetStreamLog, connect, ensure_streams
from projections.analytics.queries.port import Answer, QueryEngine, Question, Value, collect
from schemas.errors import StigmergyError
from stigmergy.local.ephemeral import nats_server
from stigmergy.settings import Settings
from stigmergy.wiring import open_queries
from tests.integration.query_history import MINE, SKILLS, Fact, history

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_PATIENCE_S = 90.0


class Bench:
    """Who is asked, and what is right. One connection for all questions, as a gateway would have."""

    def __init__(self, settings: Settings, facts: list[Fact]) -> None:
        self.settings = settings
        self.facts = facts
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._engine: QueryEngine | None = None

    def ask(
        self, template: str = "", *, sql: str = "", tenant: str = MINE, rows: int = 10_000, **given: Value
    ) -> Answer:
        question = Question(template=template, sql=sql, parameters=given, limit=rows)

        async def asked() -> Answer:
            if self._engine is None:
                self._engine = await self._stack.enter_async_context(open_queries(self.settings))
            return await collect(self._engine.ask(tenant, question))

        return self._runner.run(asked())

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STIGMERGY_")}
        return {**kept, **self.settings.environment(), "PYTHONPATH": str(ROOT)}


@contextmanager
def bench(folder: Path, kind: str) -> Iterator[Bench]:
    """``kind``: ``service`` for chDB inside the role, asked over NATS; ``server`` for a server that is asked itself."""
    needs_chdb()
    facts = history()
    with ExitStack() as stack:
        nats = stack.enter_context(nats_server(folder / "nats"))
        url = stack.enter_context(_clickhouse(folder)) if kind == "server" else None
        settings = Settings(nats_url=nats.url, state_dir=folder / "state", clickhouse_url=url, tenant=MINE)
        asyncio.run(_publish(nats.url, facts))
        made = Bench(settings, facts)
        stack.callback(made.close)
        stack.enter_context(_serving(folder, made))
        _await(lambda: made.ask(sql=_FILLED)[0] == _expected(facts))
        yield made


def needs_chdb() -> None:
    """At home the analytics may be left out; in CI they may not."""
    if os.environ.get("CI") != "true":
        for name in ("pyarrow", "clickhouse_connect", "chdb"):
            pytest.importorskip(name)


# The engine shows new rows of a table before its views are done, so each of these is waited for.
_FILLED = """
SELECT (SELECT count() FROM events) AS events, (SELECT sum(events) FROM type_hours) AS type_hours,
    (SELECT sum(attempts) FROM agent_hours) AS finished, (SELECT sum(calls) FROM tool_hours) AS tools,
    (SELECT sum(started) FROM queue_hours) AS started, (SELECT sum(calls) FROM spend_hours) AS spend_hours,
    (SELECT sum(calls) FROM spend_minutes) AS spend_minutes, (SELECT sum(calls) FROM spend) AS spend,
    (SELECT count() FROM submissions) AS submissions, (SELECT uniqExact(mission) FROM missions) AS missions,
    (SELECT uniqExact((mission, task)) FROM attempts) AS tasks, (SELECT uniqExact(skill) FROM slow_days) AS slow,
    (SELECT uniqExact(type) FROM failure_hours) AS failing, (SELECT count() > 0 FROM started_hours) AS begun,
    (SELECT sum(attempts) FROM agent_days) AS finished_days, (SELECT sum(calls) FROM tool_days) AS tools_days,
    (SELECT sum(started) FROM queue_days) AS started_days, (SELECT uniqExact(type) FROM failure_days) AS failing_days,
    (SELECT sum(calls) FROM spend_days) AS spend_days, (SELECT sum(calls) FROM llm_hours) AS llm_hours
"""


def _expected(facts: list[Fact]) -> dict[str, int]:
    mine = [fact for fact in facts if fact.tenant == MINE]
    types = Counter(fact.type for fact in mine)
    calls, submitted = types["llm.completed"], types["mission.submitted"]
    return {
        "events": len(mine), "type_hours": len(mine), "finished": types["attempt.finished"],
        "tools": types["tool.called"], "started": types["attempt.started"], "spend_hours": calls,
        "spend_minutes": calls, "spend": calls, "submissions": submitted, "missions": submitted,
        "tasks": types["task.ready"], "slow": len(SKILLS), "failing": 3, "begun": 1,
        "finished_days": types["attempt.finished"], "tools_days": types["tool.called"],
        "started_days": types["attempt.started"], "failing_days": 3, "spend_days": calls, "llm_hours": calls,
    }  # fmt: skip


async def _publish(url: str, facts: list[Fact]) -> None:
    nc = await connect(url, name="test")
    await ensure_streams(nc)
    log = await JetStreamLog.open(nc)
    await log.append([fact.event() for fact in facts])
    await log.close()
    await nc.close()


@contextmanager
def _serving(folder: Path, made: Bench) -> Iterator[None]:
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stigmergy.cli", "serve", "analytics"],
            env=made.environment(), stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield
        except BaseException:
            sys.stderr.write(log.read_text(errors="replace"))
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _clickhouse(folder: Path) -> Iterator[str]:
    command = [sys.executable, str(HERE / "chdb_server.py"), str(folder / "chdb"), "0", str(folder / "faults")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"clickhouse://user:secret@127.0.0.1:{process.stdout.readline().strip()}/stigmergy"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _await(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            if condition():
                return
            last: object = "not everything is there"
        except StigmergyError as error:
            last = error
        assert time.monotonic() < deadline, last
        time.sleep(0.1)
