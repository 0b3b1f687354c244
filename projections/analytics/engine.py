"""The two engines behind one port: a ClickHouse server over HTTP, and chDB inside this process."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa

from projections.analytics.ddl import database_name
from projections.analytics.errors import AnalyticsUnavailable, AnotherSink, explained
from schemas.errors import InvalidInput, ToolMissing

DEFAULT_DATABASE = "stigmergy"
_SCHEMES = {"clickhouse": False, "clickhouses": True, "http": False, "https": True}
_CONNECT_S = 5
_ANSWER_S = 300
Settings = Mapping[str, str | int]

ONE_BLOCK: Settings = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_insert_threads": 1,
    "max_insert_block_size": 10**9,
    "min_insert_block_size_rows": 10**9,
    "min_insert_block_size_bytes": 10**12,
    "max_partitions_per_insert_block": 0,
}
"""A table is inserted as one block, so that its token means the same whenever and however it is inserted again."""
_UNCOMPILED: Settings = {"compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0}
"""Compiling the views' expressions would hold up the fourth insert of a process for 0.2 s, and speed up none."""


class Engine(Protocol):
    """A ClickHouse. Blocks: call it from a thread; calls from several threads wait for one another.

    All raise what :func:`projections.analytics.errors.explained` raises.
    """

    name: str
    database: str
    """The database that the URL names; those of generations are called after it."""

    def command(self, sql: str, settings: Settings | None = None) -> None:
        """Run a statement without a result."""

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        """Rows of a question."""

    def insert(self, table: str, rows: Any, settings: Settings) -> None:
        """Insert a table of Arrow, best in one piece, into a table of ours."""

    def connect(self, database: str) -> Any:
        """A client of clickhouse-connect by itself, for reading beside what is written. Whoever asks closes it.

        Raises what clickhouse-connect raises.
        """

    def close(self) -> None:
        """Let go; waits for what runs."""


class ServerEngine:
    """A ClickHouse server: ``clickhouse://user:password@host:8123/database``; ``clickhouses`` or ``https`` for TLS.

    Further parts of the query (``?verify=false``) go to clickhouse-connect.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise InvalidInput(
                f"a URL that begins with {parts.scheme}:// names no ClickHouse",
                hint="write clickhouse://user:password@host:8123/database in STIGMERGY_CLICKHOUSE_URL",
            )
        secure = _SCHEMES[parts.scheme]
        port = parts.port or (8443 if secure else 8123)
        self.database = database_name(parts.path.strip("/") or DEFAULT_DATABASE)
        self.name = f"ClickHouse at {parts.hostname}:{port}"
        self._options: dict[str, Any] = {
            **dict(parse_qsl(parts.query)),
            "host": parts.hostname,
            "port": port,
            "secure": secure,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password or ""),
            "connect_timeout": _CONNECT_S,
            "send_receive_timeout": _ANSWER_S,
            # Sessions would refuse two questions at once; what we need of a session are settings of single calls.
            "autogenerate_session_id": False,
        }
        self._lock = threading.Lock()
        self._client: Any = None

    def command(self, sql: str, settings: Settings | None = None) -> None:
        with self._lock, explained(self.name, "carry out a statement"):
            self._connected().command(sql, settings=dict(settings or {}))

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        with self._lock, explained(self.name, "answer"):
            found: Sequence[Sequence[Any]] = self._connected().query(sql).result_rows
            return found

    def insert(self, table: str, rows: Any, settings: Settings) -> None:
        with self._lock, explained(self.name, "take rows"):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_table(rows)
            self._connected().raw_insert(
                table,
                column_names=rows.column_names,
                insert_block=sink.getvalue().to_pybytes(),
                fmt="ArrowStream",
                settings=dict(settings),
            )

    def connect(self, database: str) -> Any:
        return _driver().get_client(**self._options, database=database)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _driver().get_client(**self._options)
        return self._client


class ChdbEngine:
    """The engine inside this process, with its data in a directory that belongs to this process alone.

    Rows go in by the engine's own table function for Arrow in memory: a third of the processor time that reading an
    Arrow stream costs it. Everything else goes through clickhouse-connect, as for a server.
    """

    def __init__(self, folder: Path) -> None:
        self.database = DEFAULT_DATABASE
        self.name = f"chDB in {folder}"
        self._folder = folder
        self._lock = threading.Lock()
        self._client: Any = None
        self._handle: Any = None
        self._held: int | None = None

    def command(self, sql: str, settings: Settings | None = None) -> None:
        with self._lock, explained(self.name, "carry out a statement"):
            self._connected().command(sql, settings=dict(settings or {}))

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        with self._lock, explained(self.name, "answer"):
            found: Sequence[Sequence[Any]] = self._connected().query(sql).result_rows
            return found

    def insert(self, table: str, rows: Any, settings: Settings) -> None:
        columns = ", ".join(rows.column_names)
        # Read by one thread and in one piece, nothing has to be handed over and put together: a tenth of the insert.
        reading: Settings = {**_UNCOMPILED, "max_threads": 1, "max_block_size": max(rows.num_rows, 1)}
        clause = ", ".join(f"{name} = {_literal(value)}" for name, value in {**settings, **reading}.items())
        with self._lock, explained(self.name, "take rows"):
            self._connected()
            arrow_rows = rows  # noqa: F841 - the engine finds what it reads by the name of this variable
            self._handle.query(  # the values are ours: names of columns, numbers and tokens
                f"INSERT INTO {table} ({columns}) SELECT {columns} FROM Python(arrow_rows) SETTINGS {clause}"  # noqa: S608
            )

    def connect(self, database: str) -> Any:
        return _driver().get_client(interface="chdb", path=os.path.realpath(self._folder), database=database)

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            if self._client is not None:
                self._client.close()
            self._handle = self._client = None
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _connected(self) -> Any:
        if self._client is None:
            self._hold()
            driver, chdb = _driver(), _chdb()
            where = os.path.realpath(self._folder)
            self._client = driver.get_client(interface="chdb", path=where)
            self._handle = chdb.connect(where)
        return self._client

    def _hold(self) -> None:
        """The engine has a lock of its own, but says who is to blame on standard error only."""
        if self._held is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "stigmergy.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AnotherSink(
                f"{self.name} is in use by another process",
                hint="chDB belongs to one process: stop the other `stig serve analytics`, or use a ClickHouse server",
            ) from None
        self._held = descriptor


def open_engine(url: str) -> Engine:
    """The engine of a URL of a server, or of a path.

    Raises:
        ToolMissing: the driver or chDB is not installed.
        InvalidInput: it is no such URL.
    """
    _driver()
    if "://" in url:
        return ServerEngine(url)
    _chdb()
    return ChdbEngine(Path(url))


def _driver() -> Any:
    try:
        import clickhouse_connect
    except ImportError as error:
        raise ToolMissing("analytics need clickhouse-connect", hint="pip install 'stigmergy[analytics]'") from error
    return clickhouse_connect


def _chdb() -> Any:
    try:
        import chdb
    except ImportError as error:
        raise ToolMissing(
            "analytics without a server need chDB",
            hint="pip install 'stigmergy[chdb]', or name a ClickHouse server in STIGMERGY_CLICKHOUSE_URL",
        ) from error
    return chdb


def _literal(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    if not re.fullmatch(r"[\w:.-]+", value):
        raise AnalyticsUnavailable(f"{value!r} cannot be a setting")
    return f"'{value}'"
