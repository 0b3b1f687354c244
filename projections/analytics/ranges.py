"""Ranges of the log, each inserted once: first promised, then inserted under a token, then noted as done.

The promise is made by an insert with a token that is made of the first sequence alone. The store remembers tokens, so
of two promises that begin at the same place only one is kept, whoever makes it: a comparison and a write in one. It
is read back before anything is inserted. See decision 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from projections.analytics.ddl import Layout
from projections.analytics.engine import ONE_BLOCK, Engine, Settings
from projections.analytics.errors import AnotherSink


@dataclass(frozen=True, slots=True)
class Range:
    """Sequences ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Progress:
    """``done``: the last range that is in the store, and with it all before. ``open``: what was promised after it."""

    done: Range | None
    open: Range | None

    @property
    def end(self) -> int:
        """Everything up to this sequence is in the store."""
        return self.done.last if self.done is not None else 0


class Ranges:
    """The ranges in one database. Blocks: call it from a thread, one call at a time."""

    def __init__(self, engine: Engine, database: str, layout: Layout, writer: str) -> None:
        self._engine = engine
        self._database = database
        self._writer = writer
        clustered = layout.cluster is not None
        # On a cluster: a majority has the row before we go on, and we read what a majority has.
        self._write: Settings = {"insert_quorum": "auto", "insert_quorum_parallel": 0} if clustered else {}
        self._reading = " SETTINGS select_sequential_consistency = 1" if clustered else ""
        self._sharded: Settings = {"distributed_foreground_insert": 1} if clustered else {}

    def progress(self) -> Progress:
        """Where the store stands.

        Raises:
            DiskFull, AnalyticsUnavailable: the store cannot say so now.
        """
        what = f"state, argMax(last, first), max(first) FROM {self._database}.progress GROUP BY state"
        rows = self._engine.query(f"SELECT {what}{self._reading}")
        found = {state: Range(int(first), int(last)) for state, last, first in rows}
        done, promised = found.get("done"), found.get("intent")
        after = done.last + 1 if done is not None else 1
        return Progress(done, promised if promised is not None and promised.first == after else None)

    def commit(self, chosen: Range, rows: Any) -> None:
        """Insert the rows of a range that follows what is in the store. May be repeated with the same range and rows.

        Raises:
            AnotherSink: another process has promised something else from here on. Nothing was inserted.
            DiskFull, AnalyticsUnavailable: the same call may be made again.
        """
        self._note("intent", chosen, rows.num_rows)
        found = self.progress()
        if found.done == chosen:
            return  # the answer to an earlier call was lost on its way
        if found.open != chosen:
            raise AnotherSink(
                f"another process writes into {self._engine.name}: it is at {found.end}, we were at {chosen.first}",
                hint="run `stig serve analytics` once for each store",
            )
        if rows.num_rows:
            token = {"insert_deduplication_token": f"rows:{chosen.first}:{chosen.last}"}
            self._engine.insert(f"{self._database}.events", rows, {**ONE_BLOCK, **self._sharded, **token})
        self._note("done", chosen, rows.num_rows)

    def _note(self, state: str, chosen: Range, events: int) -> None:
        self._engine.command(
            f"INSERT INTO {self._database}.progress (first, last, state, writer, events) VALUES "  # noqa: S608
            f"({chosen.first}, {chosen.last}, '{state}', '{self._writer}', {events})",
            {
                "async_insert": 0,
                "insert_deduplicate": 1,
                "insert_deduplication_token": f"{state}:{chosen.first}",
                **self._write,
            },
        )
