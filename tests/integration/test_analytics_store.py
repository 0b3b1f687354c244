"""The store of the analytics: generations, migrations, poison, clocks that are wrong, logs that are not the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.memory import MemoryLog
from events.port import Log, Stored, Window, Write
from schemas.errors import InvalidInput, Refused
from schemas.ids import uuid7
from tests.integration.analytics_bench import (
    QUICK,
    asked,
    database,
    fact,
    judged,
    needs_chdb,
    role,
    server,
    team,
    until,
)

needs_chdb()

from projections.analytics import gathering, store  # noqa: E402
from projections.analytics.ddl import TABLES, Layout, Migration, migrations  # noqa: E402
from projections.analytics.engine import ServerEngine, Settings  # noqa: E402
from projections.analytics.ranges import Range, Ranges  # noqa: E402
from projections.analytics.rows import Message  # noqa: E402
from projections.analytics.store import Store  # noqa: E402

pytestmark = pytest.mark.xdist_group("analytics")


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with server(tmp_path / "data") as running:
        yield running


async def test_rebuilding_beside_and_switching_in_one_step(log: JetStreamLog, url: str) -> None:
    chance = random.Random(21)
    await log.append(team(chance, 900))
    told: list[tuple[int, int]] = []
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        await asked(url, f"DELETE FROM {made.database}.events WHERE idx = 0")  # somebody damaged it
        writing = asyncio.create_task(_written(log, chance))
        with pytest.raises(Refused, match="being opened or rebuilt"):
            await asyncio.gather(*(made.rebuild(None, lambda *step: told.append(step)) for _ in range(2)))
        await writing
        await until(made, await log.last_sequence())
        while made.database != "stigmergy_2":
            await asyncio.sleep(0.02)
        await until(made, await log.last_sequence())
        assert await judged(url, log) == 1500
        assert told[-1][0] <= await log.last_sequence()
        assert [position for position, _ in told] == sorted(position for position, _ in told)
        while (await asked(url, "SELECT count() FROM system.databases WHERE name = 'stigmergy_1'")) != [(0,)]:
            await asyncio.sleep(0.02)
        assert await asked(url, "SELECT count() FROM stigmergy.events") == [(1500,)]  # the name that stays


async def _written(log: Log, chance: random.Random) -> None:
    for _ in range(6):
        await log.append(team(chance, 100))
        await asyncio.sleep(0.05)


async def test_rebuilt_to_a_position_it_stays_there(log: JetStreamLog, url: str) -> None:
    chance = random.Random(22)
    await log.append(team(chance, 300))
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        assert await made.rebuild(150, lambda *_: None) == 150
        assert await made.position() == 150
    await log.append(team(chance, 100))
    async with role(log, url) as made:  # also after a restart
        assert await made.position() == 150
        await judged(url, log, last=150)
        with pytest.raises(Refused, match="there is no position"):
            await made.rebuild(10**6, lambda *_: None)
        assert await made.rebuild(None, lambda *_: None) == await log.last_sequence()
        await log.append(team(chance, 50))
        await until(made, await log.last_sequence())
        assert await judged(url, log) == 450
    async with role(log, url) as made:
        assert await made.rebuild(0, lambda *_: None) == 0
        assert await asked(url, "SELECT count() FROM stigmergy.events") == [(0,)]


async def test_a_log_that_lost_its_beginning_is_not_rebuilt_from(log: JetStreamLog, nats: Client, url: str) -> None:
    await log.append(team(random.Random(23), 60))
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        await nats.jetstream().purge_stream("EVENTS", keep=10)
        with pytest.raises(Refused, match="would lose what they have"):
            await made.rebuild(None, lambda *_: None)
        assert (await asked(url, "SELECT count() FROM stigmergy.events"))[0][0] == 60
    await log.append(team(random.Random(28), 20))
    await nats.jetstream().purge_stream("EVENTS", keep=5)
    with pytest.raises(InvalidInput, match="what is between is not in the log"):
        async with role(log, url):
            pass


async def test_poison_goes_to_the_dead_letters_and_the_sink_goes_on(
    log: JetStreamLog, nats: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    js = nats.jetstream()
    await log.append([fact("note.posted", {"text": "good"})])
    await js.publish("events.acme.m1.note.posted", b"no event at all")
    await js.publish("events.acme.m1.mission.completed", msgspec.json.encode(fact("note.posted", {"text": "forged"})))
    missing = msgspec.structs.replace(fact("note.posted", {}), dataref="sha256:" + "0" * 64)
    await log.write([Write((missing,))])
    poison = fact("note.posted", {"text": "poison"}, mission="bad")
    await log.append([poison, fact("tool.called", {"tool": 5})])
    real = gathering.parts_of

    def picky(messages: list[gathering.Message]) -> object:
        if any(row.id == poison.id for message in messages for row in message.rows):
            raise ZeroDivisionError("a flaw of ours")
        return real(messages)

    monkeypatch.setattr(gathering, "parts_of", picky)
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        kept = await asked(url, f"SELECT type, defects FROM {made.database}.events ORDER BY sequence")
    assert kept == [("note.posted", ""), ("tool.called", "tool")]
    letters = [(letter.original_sequence, letter.code, letter.reason) async for letter in log.dead_letters()]
    assert [sequence for sequence, _, _ in letters] == [2, 3, 4, 5]
    assert "no CloudEvent" in letters[0][2]
    assert "but says it is" in letters[1][2]
    assert letters[2][1] == "blob_missing"
    assert "ZeroDivisionError: a flaw of ours" in letters[3][2]


class _Crash(BaseException):
    """The process is gone: nothing is tidied up."""


class _Crashing(ServerEngine):
    """Dies before one of its calls."""

    def __init__(self, url: str, left: int) -> None:
        super().__init__(url)
        self.left = left

    def command(self, sql: str, settings: Settings | None = None) -> None:
        self._step()
        super().command(sql, settings)

    def query(self, sql: str) -> Sequence[Sequence[object]]:
        self._step()
        return super().query(sql)

    def insert(self, table: str, rows: object, settings: Settings) -> None:
        self._step()
        super().insert(table, rows, settings)

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Crash


async def test_a_sink_may_die_before_any_of_its_steps(log: JetStreamLog, url: str) -> None:
    async with role(log, url):
        pass  # the tables are there
    for steps in range(5):  # promise, look, insert, note, and nothing more
        begin = await log.last_sequence()
        await log.append(team(random.Random(steps), 60))
        chosen = Range(begin + 1, await log.last_sequence())
        part = gathering.Gathering(log, QUICK, begin, chosen.last)
        async for messages in log.messages(Window(first=chosen.first)):
            await part.add(messages)
            if part.complete:
                break
        engine, rows = _Crashing(url, steps), await part.table()
        with pytest.raises(_Crash) if steps < 4 else nullcontext():
            Ranges(engine, "stigmergy_1", Layout(), "dying").commit(chosen, rows)
        engine.close()
        await log.append(team(random.Random(100 + steps), 20))
        async with role(log, url) as made:
            await until(made, await log.last_sequence())
        assert await judged(url, log) == 80 * (steps + 1)


async def test_a_rebuild_may_be_killed_before_any_step_of_its_switch(log: JetStreamLog, url: str) -> None:
    await log.append(team(random.Random(31), 200))
    end = await log.last_sequence()
    used = []
    # Before the look, the switch, the names for tools outside, the drop of the old one.
    for steps in (0, 1, 2, 2 + len(TABLES)):
        engine = _Crashing(url, 10**9)

        def switching(at: int, to: int, engine: _Crashing = engine, steps: int = steps) -> None:
            engine.left = steps if at == to else engine.left

        with suppress(_Crash):  # of what follows the log beside it
            async with role(log, engine) as made:
                await until(made, end)
                before = made.database
                with pytest.raises(_Crash):
                    await made.rebuild(None, switching)
                used.append(await database(url) != before)
                assert await judged(url, log) == 200
        async with role(log, url) as made:  # the next one uses what it finds, and makes it anew
            assert made.database == await database(url)
            assert await judged(url, log) == 200
            assert await asked(url, "SELECT count() FROM stigmergy.events") == [(200,)]
            assert await made.rebuild(None, lambda *_: None) == end
            assert await judged(url, log) == 200
        kept = await asked(url, "SELECT name FROM system.databases WHERE match(name, '^stigmergy_[0-9]+$')")
        assert kept == [(made.database,)]
    assert used == [False, False, True, True]


async def test_a_rebuild_outlasts_a_server_that_goes_away(log: JetStreamLog, tmp_path: Path) -> None:
    await log.append(team(random.Random(32), 2000))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(server(tmp_path / "data"))
        async with role(log, url) as made:
            await until(made, await log.last_sequence())
            begun = asyncio.Event()
            rebuilding = asyncio.create_task(made.rebuild(None, lambda *_: begun.set()))
            await begun.wait()
            await stack.aclose()
            await log.append(team(random.Random(33), 100))
            port = int(url.rpartition(":")[2].partition("/")[0])
            await stack.enter_async_context(server(tmp_path / "data", port))
            await rebuilding
            await until(made, await log.last_sequence())
            assert made.database == "stigmergy_2"
        assert await judged(url, log) == 2100


async def test_while_nothing_goes_in_no_more_than_two_batches_are_held(
    log: JetStreamLog, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.append(team(random.Random(27), 1200))
    taken, real, faults = [0], gathering.decode, tmp_path / "data.faults"

    def counting(stored: Stored) -> Message:
        message = real(stored)
        taken[0] += len(message.rows)
        return message

    monkeypatch.setattr(gathering, "decode", counting)
    faults.write_text("full")
    async with role(log, url, limits=replace(QUICK, rows=200)) as made:
        async with asyncio.timeout(60):
            while taken[0] < 400:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert taken[0] < 400 + 20  # a message that is a frame is not divided
        assert await made.position() == 0
        faults.unlink()
        await until(made, await log.last_sequence())
    assert await judged(url, log) == 1200


async def test_wrong_clocks_cost_no_event(log: JetStreamLog, url: str) -> None:
    now = datetime.now(UTC)
    years = (0, 30, 60, -30, -50)
    facts = [fact("note.posted", {"text": "x"}, at=now + timedelta(days=365 * each)) for each in years]
    facts += [msgspec.structs.replace(fact("note.posted", {}), time=said) for said in ("9998-01-01T00:00:00Z", "soon")]
    # More months in one batch than ClickHouse takes by default; the clock runs backwards.
    facts += [fact("note.posted", {"text": "x"}, at=now + timedelta(days=31 * (150 - month))) for month in range(150)]
    await log.write([Write((each,)) for each in facts])
    async with role(log, url, limits=replace(QUICK, rows=10_000)) as made:
        await until(made, await log.last_sequence())
        await asked(url, f"OPTIMIZE TABLE {made.database}.events FINAL")  # what is too old goes now
        await asked(url, f"OPTIMIZE TABLE {made.database}.type_minutes FINAL")
    # 30 and 50 years back are before 2001 and kept, for that is a clock and no history.
    assert await judged(url, log) == len(facts)
    where = await database(url)
    assert await asked(url, f"SELECT count() FROM {where}.events WHERE defects = 'time'") == [(2,)]


async def test_rows_go_after_so_many_days_and_the_days_can_be_changed(log: JetStreamLog, url: str) -> None:
    ages = (0, 100, 200)
    await log.write([Write((fact("note.posted", {}, at=datetime.now(UTC) - timedelta(days=n)),)) for n in ages])
    for days, left in ((400, 3), (150, 2), (40, 1)):
        async with role(log, url, Layout(raw_days=days)) as made:
            await until(made, 3)
            async with asyncio.timeout(30):
                while await asked(url, f"SELECT count() FROM {made.database}.events") != [(left,)]:
                    await asked(url, f"OPTIMIZE TABLE {made.database}.events FINAL")
    assert await asked(url, f"SELECT sum(events) FROM {await database(url)}.type_minutes") == [(3,)]


async def test_an_older_store_is_migrated_and_a_newer_one_left_alone(
    log: JetStreamLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations()
    await log.append(team(random.Random(24), 100))
    monkeypatch.setattr(store, "migrations", lambda: every[:1])
    monkeypatch.setattr(store, "windows", lambda *_: [])
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        first = await log.last_sequence()
    monkeypatch.undo()
    await log.append(team(random.Random(25), 100))
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
        rows = await asked(url, f"SELECT count() FROM {made.database}.events")
        counted = await asked(url, f"SELECT sum(events) FROM {made.database}.type_minutes")
        assert (rows, counted) == ([(200,)], [(100,)])  # a view knows what came after it
        await made.rebuild(None, lambda *_: None)
        assert await judged(url, log) == 200
    assert first > 0
    later = Migration(
        "0009_later", "CREATE TABLE IF NOT EXISTS $database.later (a UInt8) ENGINE = MergeTree ORDER BY a;\n"
    )
    monkeypatch.setattr(store, "migrations", lambda: (*every, later))
    async with role(log, url):
        pass
    monkeypatch.undo()
    with pytest.raises(InvalidInput, match="made by a later release: it applied 0009_later"):
        async with role(log, url):
            pass


async def test_days_are_filled_from_hours_once_wherever_that_is_cut_short(
    log: JetStreamLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations()
    await log.append(team(random.Random(29), 300))
    monkeypatch.setattr(store, "migrations", lambda: every[: [each.name for each in every].index("0005_days")])
    monkeypatch.setattr(store, "windows", lambda *_: [])
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
    monkeypatch.undo()
    steps, dead, after = 5, True, ServerEngine(url)
    while dead:
        engine = _Crashing(url, steps)
        try:
            await asyncio.to_thread(Store(engine, Layout(), "dying").open)
            dead = False
        except _Crash:
            steps += 11
        engine.close()
        await asyncio.to_thread(Store(after, Layout(), "next").open)
        assert await judged(url, log) == 300
        if dead:  # each time as if it were the first, after what was left by those before
            after.command("DELETE FROM stigmergy_1.migrations WHERE name = '0005_days'")
    after.close()
    assert steps > 40
    await log.append(team(random.Random(30), 100))
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
    assert await judged(url, log) == 400  # and what comes later is added


def test_opening_twice_changes_nothing(url: str) -> None:
    engine = ServerEngine(url)
    one = Store(engine, Layout(), "w").open()
    tables = engine.query("SELECT database, name, create_table_query FROM system.tables ORDER BY ALL")
    assert Store(engine, Layout(), "w").open() == one
    assert engine.query("SELECT database, name, create_table_query FROM system.tables ORDER BY ALL") == tables
    engine.close()


async def test_the_store_of_another_log_is_refused(log: JetStreamLog, url: str) -> None:
    await log.append(team(random.Random(26), 20))
    async with role(log, url) as made:
        await until(made, await log.last_sequence())
    other = MemoryLog()
    await other.append([fact("note.posted", {"text": "x"})])
    with pytest.raises(InvalidInput, match="it is of another log"):
        async with role(other, url):
            pass
    while await other.last_sequence() < await log.last_sequence():
        await other.append([msgspec.structs.replace(fact("note.posted", {}), id=uuid7())])
    with pytest.raises(InvalidInput, match="is not the log's"):
        async with role(other, url):
            pass
