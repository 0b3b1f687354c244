"""Calendars that jump under the analytics: a day forwards, an hour back, for whoever writes events, or in the store.

The sink itself looks at no calendar: it waits by a clock that does not jump, and what it has is told by sequences.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.services import NatsServices
from projections.hosting import Hosted
from schemas.envelope import Event, rfc3339
from stigmergy.settings import Settings
from stigmergy.wiring import open_queries
from tests.integration.analytics_bench import QUICK, asked, database, fact, judged, needs_chdb, server, sink, team

needs_chdb()

from projections.analytics.engine import ServerEngine  # noqa: E402
from projections.analytics.following import AnalyticsRole  # noqa: E402
from projections.analytics.queries.port import Question, collect  # noqa: E402

pytestmark = pytest.mark.xdist_group("analytics")
JUMPS = (timedelta(), timedelta(days=1), timedelta(hours=-1), timedelta(days=-1), timedelta())


def dated(events: list[Event], ahead: timedelta) -> list[Event]:
    """As somebody writes them whose calendar is ahead."""
    return [
        msgspec.structs.replace(event, time=rfc3339(datetime.fromisoformat(event.time) + ahead)) for event in events
    ]


async def test_events_of_calendars_that_jump(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    """Killed between the jumps; afterwards all parts are merged by force, which is when a TTL would bite."""
    chance, folder = random.Random(5), tmp_path / "analytics"
    for ahead in JUMPS:
        async with sink(nats_url, str(folder)) as running:
            assert await running.line()
            await log.append(dated(team(chance, 150), ahead))
            if ahead >= timedelta():
                await running.until(await log.last_sequence())
    async with sink(nats_url, str(folder)) as running:
        await running.until(await log.last_sequence())
    async with server(folder) as url:
        assert await judged(url, log) == 150 * len(JUMPS)
        where = await database(url)
        for table in ("events", "type_minutes", "agent_minutes", "queue_minutes"):
            await asked(url, f"OPTIMIZE TABLE {where}.{table} FINAL")
        assert await judged(url, log) == 150 * len(JUMPS)


async def test_the_calendar_of_the_engine_jumps(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    """What is noted of ranges carries its time for people only: where the sink stands is told by sequences."""
    chance = random.Random(6)
    async with server(tmp_path / "data") as url:
        for hours in (24, -1, -25):
            await log.append(team(chance, 150))
            async with sink(nats_url, url) as running:
                await running.until(await log.last_sequence())
            later = f"UPDATE at = at + INTERVAL {hours} HOUR WHERE 1 SETTINGS mutations_sync = 2"
            await asked(url, f"ALTER TABLE {await database(url)}.progress {later}")
        await log.append(team(chance, 150))
        async with sink(nats_url, url) as running:
            await running.until(await log.last_sequence())
        assert await judged(url, log) == 600


async def test_how_far_and_how_fast_is_told_without_a_calendar(
    log: JetStreamLog, nats: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    async with server(tmp_path / "data") as url:
        monkeypatch.setattr("projections.hosting._SAMPLE_S", 0.1)
        role = AnalyticsRole(log, ServerEngine(url), writer="test", limits=QUICK)
        host, ready = (
            Hosted("analytics", lambda: role, log, NatsServices(nats), host="here", alone=True),
            asyncio.Event(),
        )
        running = asyncio.create_task(host.run(ready))
        try:
            async with asyncio.timeout(30):
                await ready.wait()
                for ahead in JUMPS:
                    await log.append(dated(team(chance, 100), ahead))
                    while (told := await host.status()).lag:
                        assert 0 <= told.lag <= 500
                        await asyncio.sleep(0.02)
                    assert told.state == "following"
                    assert told.error == ""
                while not (await host.status()).rate:
                    await asyncio.sleep(0.05)
            assert (await host.status()).rate < 500 / 0.1
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_no_duration_is_negative(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(days=2)

    def said(kind: str, minutes: float, mission: str, **data: Any) -> Event:
        return fact(kind, data, mission=mission, at=began + timedelta(minutes=minutes))

    about = {"task": "t", "attempt": 1}
    for mission, back in (("straight", 0), ("set-back", 60)):  # the clock goes back by an hour after the submission
        order = {"order": {"skill": "edit"}, "queue": "q"}
        await log.append(
            [
                said("mission.submitted", 10, mission, objective="o", workflow="repair"),
                said("mission.planned", 11 - back, mission),
                said("action.dispatched", 12, mission, **about, **order),
                said("attempt.started", 13 - back, mission, **about, worker="w", agent="coder", skill="edit"),
                said("mission.completed", 14 - back, mission),
            ]
        )
    async with server(tmp_path / "data") as url:
        async with sink(nats_url, url) as running:
            await running.until(await log.last_sequence())
        settings = Settings(nats_url=nats_url, state_dir=tmp_path / "state", clickhouse_url=url, tenant="acme")
        async with open_queries(settings) as queries:

            async def ask(template: str, **given: Any) -> list[dict[str, Any]]:
                return await collect(
                    queries.ask("acme", Question(template=template, sql="", parameters=given, limit=9))
                )

            rows = {row["mission"]: row for row in await ask("missions")}
            assert [rows["straight"][name] for name in DURATIONS] == [60.0, 180.0, 240.0]
            assert [rows["set-back"][name] for name in DURATIONS] == [None, None, None]
            assert rows["set-back"]["status"] == "completed"
            assert [row["waited_s"] for row in await ask("tasks", mission="straight")] == [60.0]
            assert [row["waited_s"] for row in await ask("tasks", mission="set-back")] == [None]


DURATIONS = ("planned_after_s", "started_after_s", "duration_s")
