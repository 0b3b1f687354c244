"""The tables: made, migrated, and kept in generations, so that a rebuild can be switched to in one step.

A generation is a database of its own, with tables, views and progress. The table ``generations`` in the base database
says which one is in use; a row more is the switch. Tables could be exchanged by name instead, but only one after
another: killed in the middle, a sink would find the progress of one generation beside the rows of the other.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from projections.analytics.ddl import (
    Layout,
    Migration,
    create_database,
    database_name,
    drop_database,
    migrations,
    pointer,
    windows,
)
from projections.analytics.engine import Engine, Settings
from projections.analytics.ranges import Ranges
from schemas.errors import InvalidInput

_log = logging.getLogger(__name__)
_DAYS = re.compile(r"toIntervalDay\((\d+)\)")
_TTL = re.compile(r"\nTTL (.+)\nSETTINGS", re.DOTALL)
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\S+)")
_BACKFILL: Settings = {
    "insert_deduplicate": 0,
    "distributed_foreground_insert": 1,
    "optimize_aggregation_in_order": 1,
    "max_bytes_before_external_group_by": 10**9,
}
"""Nothing is remembered of it, no shard is left out, and missions are added up day by day, as they lie."""


@dataclass(frozen=True, slots=True)
class Generation:
    """``frozen``: it stays at its position until it is rebuilt without one."""

    number: int
    database: str
    frozen: bool


class Store:
    """All that is in one ClickHouse, or one directory. Blocks: call it from a thread, one call at a time.

    All methods raise ``DiskFull`` and ``AnalyticsUnavailable``, after which the same call may be made again.
    """

    def __init__(self, engine: Engine, layout: Layout, writer: str) -> None:
        self._engine = engine
        self._layout = layout
        self._writer = writer
        self._base = database_name(engine.database)

    def open(self) -> Generation:
        """Make what is missing, migrate what is in use, clear away what is not.

        Raises:
            InvalidInput: the tables were made by a later release, or by other files than ours.
            AnotherSink: another process holds the directory.
        """
        self._engine.command(create_database(self._base, self._layout))
        for statement in pointer().statements(self._base, self._layout):
            self._engine.command(statement)
        found = self.current()
        if found is None:
            found = Generation(1, f"{self._base}_1", frozen=False)
            self._make(found)
            self.switch(found)
        else:
            self._migrate(found.database)
            self._set_days(found.database)
            self._show(found)
        self._clear(found)
        return found

    def current(self) -> Generation | None:
        """The generation in use; None in an empty store."""
        rows = self._engine.query(
            f"SELECT number, database, frozen FROM {self._base}.generations ORDER BY number DESC LIMIT 1"  # noqa: S608
        )
        return Generation(int(rows[0][0]), str(rows[0][1]), bool(rows[0][2])) if rows else None

    def begin(self, current: Generation, *, frozen: bool) -> Generation:
        """An empty generation to come after the one in use. What an earlier attempt left is removed."""
        number = current.number + 1
        fresh = Generation(number, f"{self._base}_{number}", frozen)
        self._engine.command(drop_database(fresh.database, self._layout))
        self._make(fresh)
        return fresh

    def switch(self, generation: Generation) -> None:
        """Use a generation from now on: one row."""
        self._engine.command(
            f"INSERT INTO {self._base}.generations (number, database, frozen) VALUES "  # noqa: S608
            f"({generation.number}, '{generation.database}', {generation.frozen})",
            {"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": f"use:{generation.number}"},
        )
        self._show(generation)

    def drop(self, generation: Generation) -> None:
        """Remove a generation that is no longer in use."""
        self._engine.command(drop_database(generation.database, self._layout))

    def ranges(self, generation: Generation) -> Ranges:
        """What is in a generation, and the way to add to it."""
        return Ranges(self._engine, generation.database, self._layout, self._writer)

    def event_at(self, generation: Generation, sequence: int) -> str | None:
        """The id of the first event of a message; None if none is kept."""
        rows = self._engine.query(
            f"SELECT id FROM {generation.database}.events WHERE sequence = {sequence} AND idx = 0 LIMIT 1"  # noqa: S608
        )
        return str(rows[0][0]) if rows else None

    def holds_before(self, generation: Generation, sequence: int) -> bool:
        """Whether there are events of messages before a sequence."""
        rows = self._engine.query(
            f"SELECT 1 FROM {generation.database}.events WHERE sequence < {sequence} LIMIT 1"  # noqa: S608
        )
        return bool(rows)

    def _make(self, generation: Generation) -> None:
        self._engine.command(create_database(generation.database, self._layout))
        self._migrate(generation.database)

    def _migrate(self, database: str) -> None:
        applied = self._applied(database)
        known = {each.name: each for each in migrations()}
        for name, digest in applied.items():
            _check_known(name, digest, known.get(name))
        for migration in migrations():
            if migration.name in applied:
                continue
            self._apply(migration, database)
            self._engine.command(
                f"INSERT INTO {database}.migrations (name, digest) VALUES ('{migration.name}', '{migration.digest}')"  # noqa: S608
            )
            _log.info("applied %s to %s", migration.name, database)

    def _apply(self, migration: Migration, database: str) -> None:
        backfills = migration.backfills(database, self._layout)
        for backfill in backfills:
            self._engine.command(backfill.drop)
        for statement in migration.statements(database, self._layout):
            self._engine.command(statement)
        for backfill in backfills:
            for (month,) in self._engine.query(backfill.months):
                self._engine.command(backfill.by_month.format(month=month), _BACKFILL)

    def _applied(self, database: str) -> dict[str, str]:
        there = f"SELECT 1 FROM system.tables WHERE database = '{database}' AND name = 'migrations'"  # noqa: S608
        if not self._engine.query(there):
            return {}
        rows = self._engine.query(f"SELECT name, argMax(digest, at) FROM {database}.migrations GROUP BY name")  # noqa: S608
        return {str(name): str(digest) for name, digest in rows}

    def _set_days(self, database: str) -> None:
        """Bring the days after which rows go to what the settings say now."""
        made = self._engine.query(
            f"SELECT name, create_table_query FROM system.tables WHERE database = '{database}'"  # noqa: S608
        )
        present = {f"{database}.{name}": _DAYS.findall(str(query)) for name, query in made}
        for statement in (each for one in migrations() for each in one.statements(database, self._layout)):
            table, ttl = _TABLE.match(statement), _TTL.search(statement)
            if table is None or ttl is None:
                continue
            wanted = re.findall(r"INTERVAL (\d+) DAY", ttl[1])
            if present.get(table[1]) not in (None, wanted):
                self._engine.command(f"ALTER TABLE {table[1]} MODIFY TTL {ttl[1]}")

    def _show(self, generation: Generation) -> None:
        for statement in windows(self._base, generation.database, self._layout):
            self._engine.command(statement)

    def _clear(self, current: Generation) -> None:
        """Remove generations that are no longer in use: what a rebuild leaves that was killed after its switch."""
        like = f"SELECT name FROM system.databases WHERE match(name, '^{self._base}_[0-9]+$')"  # noqa: S608
        for (name,) in self._engine.query(like):
            if int(str(name).rpartition("_")[2]) < current.number:
                self._engine.command(drop_database(str(name), self._layout))


def _check_known(name: str, digest: str, ours: Migration | None) -> None:
    if ours is None:
        raise InvalidInput(
            f"the analytics tables were made by a later release: it applied {name}", hint="update this process"
        )
    if ours.digest != digest:
        raise InvalidInput(
            f"the analytics tables were made from another {name} than the one that is installed",
            hint="a released file is never changed; to start anew, remove the database and let the log be read again",
        )
