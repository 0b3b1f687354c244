"""Answers from ClickHouse itself: a server, or the engine inside this process."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from projections.analytics.ddl import TABLES
from projections.analytics.queries.guard import checked, filters
from projections.analytics.queries.port import MOST_ROWS, Batch, Column, Ending, Heading, Part, Question
from projections.analytics.queries.registry import template
from projections.analytics.queries.sessions import Session, Sessions
from schemas.errors import InvalidInput, LimitExceeded, StigmergyError, TimedOut, Unavailable
from schemas.ids import token

AT_ONCE = 4
"""So many questions are answered at a time; others wait."""
BATCH_BYTES = 256 * 1024
_PLACEHOLDER = re.compile(r"\{\w+:[^}]+\}")
_KNOWN_S = 1.0
_FEWEST = 1000  # the engine's limit is for the descriptions of columns, too
_NO_TABLE, _NO_DATABASE = 60, 81
_ERRORS: dict[int, tuple[type[StigmergyError], str]] = {
    159: (TimedOut, "ask for less: a shorter time, a filter"),
    241: (LimitExceeded, "group by fewer values, or ask for a shorter time"),
    396: (LimitExceeded, "ask for fewer rows or columns"),
    _NO_DATABASE: (Unavailable, "the tables are being made anew: ask again"),
}
"""Codes of the engine: too slow, too much memory, too many bytes. Source: src/Common/ErrorCodes.cpp of ClickHouse."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may cost."""

    seconds: float = 30.0
    memory_bytes: int = 2 * 1024**3
    result_bytes: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class _Found:
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    elapsed_s: float


class ClickHouseQueries:
    """Answers questions; see :class:`~projections.analytics.queries.port.QueryEngine`.

    Args:
        base: the database that says which other one is in use; see :mod:`projections.analytics.store`.
    """

    def __init__(
        self,
        sessions: Sessions,
        base: str,
        *,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sessions = sessions
        self._base = base
        self._limits = limits or Limits()
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._known: tuple[str, float] | None = None

    async def ask(self, tenant: str, question: Question) -> AsyncGenerator[Part]:
        token(tenant, "tenant")
        if bool(question.template) == bool(question.sql):
            raise InvalidInput("a question has either a template or SQL", hint="see: stig query --help")
        if not 1 <= question.limit <= MOST_ROWS:
            raise InvalidInput(f"{question.limit} is no limit of rows", hint=f"write 1 to {MOST_ROWS}")
        async with self._turn:
            found = await asyncio.to_thread(self._run, tenant, question)
        yield Heading(found.columns)
        rows = [[_plain(value) for value in row] for row in found.rows]
        for batch in _batches(rows[: question.limit]):
            yield Batch(batch)
        yield Ending(min(len(rows), question.limit), len(rows) > question.limit, found.elapsed_s)

    def _run(self, tenant: str, question: Question) -> _Found:
        settings = {
            "max_execution_time": self._limits.seconds,
            "max_memory_usage": self._limits.memory_bytes,
            "max_result_bytes": self._limits.result_bytes,
            "limit": max(question.limit, _FEWEST) + 1,
            "session_timezone": "UTC",
            "readonly": 1,
        }
        run = self._run_template if question.template else self._run_own
        try:
            try:
                return run(tenant, question, settings, self._in_use())
            except Exception as error:
                if getattr(error, "code", None) not in (_NO_TABLE, _NO_DATABASE):
                    raise
                self._known = None  # a rebuild may have switched a moment ago
                return run(tenant, question, settings, self._in_use())
        except StigmergyError:
            raise
        except Exception as error:
            raise _translated(error, own=bool(question.sql)) from error

    def _run_template(self, tenant: str, question: Question, settings: Mapping[str, Any], database: str) -> _Found:
        chosen = template(question.template)
        values = chosen.bind(question.parameters, tenant, self._clock())
        with self._sessions(database, settings) as session:
            return _found(session, chosen.sql, values)

    def _run_own(self, tenant: str, question: Question, settings: Mapping[str, Any], database: str) -> _Found:
        if question.parameters and not _PLACEHOLDER.search(question.sql):
            raise InvalidInput("the SQL uses none of the parameters", hint="write such as {name:String} in it")
        with self._sessions(database, {"max_execution_time": self._limits.seconds, "readonly": 1}) as session:
            plain = checked(question.sql, question.parameters, TABLES, lambda *asked: session.query(*asked).result_rows)
        mine = filters(tenant, database, TABLES)
        with self._sessions(database, {**settings, "additional_table_filters": mine}) as session:
            return _found(session, plain, question.parameters or None)

    def _in_use(self) -> str:
        """The database with the tables; another one after a rebuild, which is noticed within a second."""
        known = self._known
        if known is not None and time.monotonic() - known[1] < _KNOWN_S:
            return known[0]
        try:
            with self._sessions(self._base, {"readonly": 1}) as session:
                rows = session.query("SELECT database FROM generations ORDER BY number DESC LIMIT 1").result_rows
        except Exception as error:
            if getattr(error, "code", None) not in (_NO_TABLE, _NO_DATABASE):
                raise
            rows = []
        if not rows:
            raise Unavailable("there are no analytics yet", hint="start what makes them: stig serve analytics")
        self._known = str(rows[0][0]), time.monotonic()
        return str(rows[0][0])


def _found(session: Session, sql: str, parameters: Mapping[str, Any] | None) -> _Found:
    result = session.query(sql, parameters)
    names, kinds = result.column_names, [kind.name for kind in result.column_types]
    if not names:
        # Without rows the format has no columns either.
        described = session.query(f"DESCRIBE TABLE ({sql})", parameters).result_rows
        names, kinds = [row[0] for row in described], [row[1] for row in described]
    columns = tuple(Column(name, kind) for name, kind in zip(names, kinds, strict=True))
    return _Found(columns, result.result_rows, int(result.summary.get("elapsed_ns", 0)) / 1e9)


def _batches(rows: Sequence[list[Any]]) -> Iterator[list[list[Any]]]:
    """Rows in batches that fit into a message; a row that is larger by itself makes one alone."""
    batch: list[list[Any]] = []
    size = 0
    for row in rows:
        length = len(msgspec.msgpack.encode(row))
        if batch and size + length > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _plain(value: Any) -> Any:
    """A value as it can travel: what has no like in MessagePack becomes text."""
    if value is None or isinstance(value, str | bool | float | datetime | date | Decimal):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(inner) for inner in value]
    return str(value)


def _translated(error: Exception, *, own: bool) -> StigmergyError:
    code = getattr(error, "code", None)
    # The engine quotes the query and its settings; what comes before tells what is wrong.
    said = re.sub(r"^.*DB::Exception: ", "", str(error), count=1, flags=re.DOTALL)
    message = re.split(r":? In scope |\s*\(version | Stack trace|: While executing", said)[0].strip().rstrip(".:")
    if code in _ERRORS:
        kind, hint = _ERRORS[code]
    elif code is None:
        kind, hint = Unavailable, "does ClickHouse run? see STIGMERGY_CLICKHOUSE_URL"
    elif own:
        kind, hint = InvalidInput, "see docs/query.md for tables and columns"
    else:
        kind, hint = StigmergyError, "are the tables of this release? see docs/query.md"
    return kind(message[:500] or "the engine refused the query", hint=hint)
