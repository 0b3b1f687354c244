"""Sessions: ways to ask an engine under settings that the statement cannot change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from projections.analytics.engine import ChdbEngine, Engine


class Session(Protocol):
    """A way to ask in one database, under settings that hold for all that is asked."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """A ``QueryResult`` of clickhouse-connect; times are aware. Raises its errors."""


IDLE = 16
"""So many clients are kept for the next question."""
_Key = tuple[str, tuple[tuple[str, str], ...]]
Connect = Callable[[str], Any]
"""Gives a new client of clickhouse-connect for a database."""
Sessions = Callable[[str, Mapping[str, Any]], AbstractContextManager[Session]]
"""Opens a session in a database, under settings."""


class _Bound:
    def __init__(self, client: Any, settings: Mapping[str, Any]) -> None:
        self._client = client
        self._settings = dict(settings)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        given = dict(parameters) if parameters else None
        return self._client.query(sql, parameters=given, settings=self._settings, tz_mode="aware")


class OwnSessions:
    """A client for each session: for the engine inside a process, whose settings belong to a connection.

    The driver would put settings of a single call behind the statement, where they are a part of it; so they are set
    before. Opening a client takes 10 ms: some are kept for the next session with the same settings.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: OrderedDict[int, tuple[_Key, Any]] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, database: str, settings: Mapping[str, Any]) -> Iterator[Session]:
        key = (database, tuple(sorted((name, str(value)) for name, value in settings.items())))
        client = self._taken(key) or self._opened(database, settings)
        try:
            yield _Bound(client, {})
        except BaseException:
            client.close()
            raise
        self._keep(key, client)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            while self._idle:
                self._idle.popitem()[1][1].close()

    def _opened(self, database: str, settings: Mapping[str, Any]) -> Any:
        client = self._connect(database)
        # readonly comes last: behind it nothing can be set.
        for name, value in sorted(settings.items(), key=lambda item: item[0] == "readonly"):
            client.set_client_setting(name, value)
        return client

    def _taken(self, key: _Key) -> Any:
        with self._lock:
            for number, (other, client) in reversed(self._idle.items()):
                if other == key:
                    del self._idle[number]
                    return client
        return None

    def _keep(self, key: _Key, client: Any) -> None:
        with self._lock:
            self._count += 1
            self._idle[self._count] = key, client
            oldest = self._idle.popitem(last=False)[1][1] if len(self._idle) > IDLE else None
        if oldest is not None:
            oldest.close()


class SharedSessions:
    """One client for a database: for a server, where settings travel beside the statement."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, database: str, settings: Mapping[str, Any]) -> Iterator[Session]:
        with self._lock:
            if database not in self._clients:
                self._clients[database] = self._connect(database)
            client = self._clients[database]
        yield _Bound(client, settings)

    def close(self) -> None:
        """Let go of the server."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


def sessions_of(engine: Engine) -> OwnSessions | SharedSessions:
    """The kind of sessions that an engine needs."""
    return OwnSessions(engine.connect) if isinstance(engine, ChdbEngine) else SharedSessions(engine.connect)
