"""A billion events in ClickHouse's tables on one small machine, and how quick the query templates are over them.

    python -m benchmarks.analytics_scale --rows 1000000000 --folder DIR        # fills, once: half an hour of one core
    python -m benchmarks.analytics_scale --rows 1000000000 --folder DIR --ask  # measures what is there

A day of events goes through all views; the other days are copies of its rows in every table, moved in time and with
ids of their own (``scale_rows`` says why that is the same, and a test shows it). A fill that was broken off goes on
where it was, after the day it was at is cleared. Needs 30 bytes of disk a row.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.query_scale import measure
from benchmarks.scale_rows import EVENTS, FIRST_TIME, Days
from projections.analytics.ddl import TABLES, Layout
from projections.analytics.engine import ChdbEngine
from projections.analytics.queries.clickhouse import ClickHouseQueries
from projections.analytics.queries.sessions import OwnSessions
from projections.analytics.store import Generation, Store

_ROLLUPS = tuple(table for table in TABLES if table != "events")


class Filling:
    """Fills a store with days of events.

    Args:
        say: told what was done, with seconds since the beginning.
    """

    def __init__(self, engine: ChdbEngine, days: Days) -> None:
        self._engine = engine
        self._days = days
        self._store = Store(engine, Layout(), "benchmark")
        self._began = time.monotonic()

    def run(self, *, merge: bool = True) -> str:
        """Make what is missing, newest day first; the name of the database."""
        current = self._store.open()
        target = current.database
        have = self.filled(target)
        missing = [day for day in reversed(range(self._days.days)) if day not in have]
        if not missing:
            return target
        if have:
            self._clear_half(target, min(have))
        self._detach(target)
        base = self._days.days - 1
        one = self._one_day(current, base)
        columns = {table: self._columns(one.database, table) for table in TABLES}
        for day in missing:
            for _, statement in self._days.copies(one.database, target, base, day, columns):
                self._engine.command(statement)
            self._engine.command(f"INSERT INTO {target}.filled VALUES ({day})")
            self._say(f"{self._days.rows * (self._days.days - day):,} rows")
        self._store.drop(one)
        if merge:
            for table in _ROLLUPS:
                self._engine.command(f"OPTIMIZE TABLE {target}.{table} FINAL SETTINGS max_threads = 1")
                self._say(f"merged {table}")
        for table in _ROLLUPS:
            self._engine.command(f"ATTACH TABLE IF NOT EXISTS {target}.{table}_view")
        return target

    def filled(self, database: str) -> set[int]:
        """The days that are whole."""
        self._engine.command(
            f"CREATE TABLE IF NOT EXISTS {database}.filled (day UInt32) ENGINE = MergeTree ORDER BY day"
        )
        return {int(day) for (day,) in self._engine.query(f"SELECT day FROM {database}.filled")}

    def _clear_half(self, database: str, oldest: int) -> None:
        """Remove what was copied of the day before the oldest whole one."""
        begin = self._days.begin(oldest).isoformat()
        self._engine.command(f"SYSTEM START MERGES {database}.events")  # without them nothing is ever removed
        for table, column in FIRST_TIME.items():
            told = f"{column} < toDateTime('{begin} 00:00:00', 'UTC')"
            self._engine.command(f"ALTER TABLE {database}.{table} DELETE WHERE {told} SETTINGS mutations_sync = 2")
        self._say("what was begun is cleared")

    def _one_day(self, current: Generation, day: int) -> Generation:
        """A day in tables of its own, by way of the views, and merged."""
        one = self._store.begin(current, frozen=True)
        self._engine.command(self._days.fill(one.database, day))
        self._say("one day went through the views")
        for table in TABLES:
            self._engine.command(f"OPTIMIZE TABLE {one.database}.{table} FINAL SETTINGS max_threads = 1")
        self._say("and was merged")
        return one

    def _detach(self, database: str) -> None:
        """No views until the next start of the engine; and no merging of raw events meanwhile."""
        for table in _ROLLUPS:
            self._engine.command(f"DETACH TABLE IF EXISTS {database}.{table}_view")
        self._engine.command(f"SYSTEM STOP MERGES {database}.events")

    def _columns(self, database: str, table: str) -> list[str]:
        where = f"database = '{database}' AND table = '{table}'"
        return [str(name) for (name,) in self._engine.query(f"SELECT name FROM system.columns WHERE {where}")]

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:8.0f} s  {what}", flush=True)


def last_day(engine: ChdbEngine) -> date:
    """The last day of what is there already, else tomorrow, so that the days reach beyond now for a day at least."""
    database = Store(engine, Layout(), "benchmark").open().database
    [(newest, rows)] = engine.query(f"SELECT toString(toDate(max(hour), 'UTC')), count() FROM {database}.type_hours")
    return date.fromisoformat(str(newest)) if rows else datetime.now(UTC).date() + timedelta(days=1)


def ask(engine: ChdbEngine, runs: int) -> None:
    """Measure every template over what is there, and say how much that is."""
    database = Store(engine, Layout(), "benchmark").open().database
    engine.command(f"SYSTEM STOP MERGES {database}.events")
    where = f"database = '{database}' AND active"
    for table, rows, parts, size in engine.query(
        f"SELECT table, sum(rows), count(), sum(bytes_on_disk) FROM system.parts WHERE {where} GROUP BY 1 ORDER BY 2"
    ):
        print(f"{table:<20}{rows:>16,} rows {parts:>5} parts {size / 1e6:>10,.0f} MB")
    newest = (
        f"SELECT mission FROM {database}.submissions WHERE tenant = 'acme' AND time < now() ORDER BY time DESC LIMIT 1"
    )
    queries = ClickHouseQueries(OwnSessions(engine.connect), "stigmergy")
    asyncio.run(measure(queries, engine, runs, str(engine.query(newest)[0][0])))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000_000)
    parser.add_argument("--days", type=int, default=100, help="over so many days, the last of which is tomorrow")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ask", action="store_true", help="measure, and fill nothing")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    engine = ChdbEngine(options.folder)
    if options.ask:
        ask(engine, options.runs)
    else:
        rows = options.rows // options.days // EVENTS * EVENTS
        Filling(engine, Days(options.days, rows, last_day(engine), options.threads)).run()
    engine.close()


if __name__ == "__main__":
    main()
