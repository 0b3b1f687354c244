"""The two embedded servers of one state directory: started, found again, mended, stopped.

They outlive whoever started them, as they hold data and stopping them well takes time. So every start first looks for
what an earlier one left: by the record in ``stack.json``, and by the command line if the record was lost. That look is
no courtesy: NATS does not lock its store, and two servers on one store destroy it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import Conflict, StigmergyError
from stigmergy.local import marks
from stigmergy.local.endpoints import Endpoints
from stigmergy.local.layout import Layout
from stigmergy.local.lock import exclusive
from stigmergy.local.ports import free_port, is_free, port_taken
from stigmergy.local.records import ServerRecord
from stigmergy.local.server import READY_TIMEOUT_S, EmbeddedServer, Launch, PortLost, await_ready, spawn
from stigmergy.local.stack_book import StackBook
from stigmergy.settings import SecretUrl

_PORT_TRIES = 5
_ADOPTION_S = 2.0
"""A server found running gets this long to answer before it is ended and started again."""


@dataclass(frozen=True)
class _Begun:
    server: EmbeddedServer
    launch: Launch
    record: ServerRecord


class Stack:
    """NATS and Valkey below one state directory; any process may hold a ``Stack`` for the same directory.

    Args:
        state_dir: where data, logs, secrets and the record lie; made when needed.
        servers: which of ``"nats"`` and ``"valkey"`` this stack has.
        ready_timeout_s: how long a server may read its data before it must answer.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        servers: Iterable[str] = ("nats", "valkey"),
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        self.layout = Layout.at(state_dir)
        self._names = tuple(servers)
        self._book = StackBook(self.layout)
        self._ready_timeout_s = ready_timeout_s

    def start(self, ports: Mapping[str, int] | None = None) -> Endpoints:
        """Start what does not run, adopt what does; return when all answer.

        Args:
            ports: the port of ``"nats"`` or ``"valkey"``; without one, the port of last time if free, else a free one.

        Raises:
            Unavailable: a given port is held by somebody else, or a server ended while starting (with its log).
            Conflict: it runs already, on another port than the given one; or another start takes too long.
            DiskFull: there is no room. ToolMissing: a server program is missing.
        """
        self.layout.create()
        with self._locked():
            for name, port in (ports or {}).items():
                self._check_port(self._book.server(name), port)
            return self._start_all(dict(ports or {}))

    def stop(self, grace_s: float = 10.0) -> bool:
        """End both servers, SIGKILL after ``grace_s`` seconds; the data stay. False if none ran."""
        if not self.layout.root.is_dir():
            return False
        with self._locked():
            running = [found for name in self._names if (found := self._book.find(self._book.server(name)))]
            for who in running:
                marks.send(who, signal.SIGTERM)  # to all at once: they end side by side
            for who in running:
                marks.end(who, grace_s)
                marks.reap(who.pid)
            self._book.forget(self._names)
        return bool(running)

    def mend(self) -> list[str]:
        """Start again, on the same port, every server that was started and has died; their names.

        Raises what :meth:`start` raises. A stack that was stopped stays stopped.
        """
        if not self.broken():
            return []
        with self._locked():
            broken = self.broken()
            before = self._book.record().servers
            self._start_all({name: before[name].port for name, _ in broken}, only=broken)
            record = self._book.record()
            counted = {name: record.servers[name].model_copy(update={"restarts": was + 1}) for name, was in broken}
            self._book.write(record.model_copy(update={"servers": {**record.servers, **counted}}))
        return [name for name, _ in broken]

    def broken(self) -> list[tuple[str, int]]:
        """Name and number of restarts so far of each server that should run and does not. Cheap: no connection."""
        servers = self._book.record().servers
        return [
            (name, servers[name].restarts)
            for name in self._names
            if name in servers and not self._book.find_recorded(name)
        ]

    def running(self) -> dict[str, ServerRecord]:
        """The records of the servers that run now, by name."""
        servers = self._book.record().servers
        return {name: servers[name] for name in self._names if name in servers and self._book.find_recorded(name)}

    def recorded(self) -> dict[str, ServerRecord]:
        """The records of the servers that run or should run, by name."""
        return {name: record for name, record in self._book.record().servers.items() if name in self._names}

    def urls(self) -> dict[str, SecretUrl]:
        """The URL of each server that runs now, by name."""
        return {name: SecretUrl(self._book.server(name).url(record.port)) for name, record in self.running().items()}

    # -- starting

    def _start_all(self, ports: dict[str, int], only: Iterable[tuple[str, int]] | None = None) -> Endpoints:
        wanted = self._names if only is None else tuple(name for name, _ in only)
        begun: list[_Begun] = []
        try:
            for server in map(self._book.server, wanted):
                port = ports.get(server.name)
                begun += [] if self._adopt(server, port) else [self._begin(server, port)]
            for one in begun:
                self._see_through(one, fixed=one.server.name in ports)
        except StigmergyError:
            self._undo(begun)
            raise
        urls, pids = self.urls(), {name: record.mark.pid for name, record in self.running().items()}
        none = SecretUrl("")
        return Endpoints(urls.get("nats", none), urls.get("valkey", none), pids)

    def _adopt(self, server: EmbeddedServer, port: int | None) -> bool:
        found, record = self._book.find(server), self._book.record().servers.get(server.name)
        if found is None:
            return False
        if record is not None and found == record.mark and self._answers(server, record.port):
            if port not in (None, record.port):
                raise Conflict(
                    f"{server.name} of {self.layout.root} runs already, on port {record.port}",
                    hint=f"stop it first, or unset {server.port_variable}",
                )
            return True
        marks.end(found, _ADOPTION_S)  # deaf, or of unknown port: its data are safe, and nobody else may write them
        marks.reap(found.pid)
        return False

    def _answers(self, server: EmbeddedServer, port: int) -> bool:
        deadline = time.monotonic() + _ADOPTION_S
        while not server.is_ready(port):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def _begin(self, server: EmbeddedServer, port: int | None) -> _Begun:
        chosen = port or self._choose_port(server)
        if not is_free(chosen):
            raise port_taken(server.name, chosen, server.port_variable)
        launch = server.launch(chosen)
        who = spawn(launch.argv, launch.env, launch.output)
        record = ServerRecord(mark=who, port=chosen, started_at=time.time())
        # On record before it answers: whoever is killed while waiting leaves a trace.
        old = self._book.record()
        if server.name in old.servers:
            marks.reap(old.servers[server.name].mark.pid)
        servers, ports = {**old.servers, server.name: record}, {**old.ports, server.name: chosen}
        self._book.write(old.model_copy(update={"servers": servers, "ports": ports}))
        return _Begun(server, launch, record)

    def _see_through(self, begun: _Begun, *, fixed: bool) -> None:
        for _ in range(_PORT_TRIES):
            port = begun.record.port
            try:
                return await_ready(begun.server, begun.launch, begun.record.mark, port, self._ready_timeout_s)
            except PortLost as error:
                if fixed:
                    raise port_taken(begun.server.name, port, begun.server.port_variable) from error
            begun = self._begin(begun.server, free_port())
        raise PortLost(f"{_PORT_TRIES} free ports in a row were taken before {begun.server.name} had them")

    def _check_port(self, server: EmbeddedServer, port: int) -> None:
        if self._book.find(server) is None and not is_free(port):
            raise port_taken(server.name, port, server.port_variable)

    def _choose_port(self, server: EmbeddedServer) -> int:
        last = self._book.record().ports.get(server.name)
        return last if last and is_free(last) else free_port()

    def _undo(self, begun: list[_Begun]) -> None:
        names = {one.server.name for one in begun}
        for server in map(self._book.server, names):
            if found := self._book.find(server):
                marks.end(found, _ADOPTION_S)
                marks.reap(found.pid)
        self._book.forget(names)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        busy = f"another process has been starting or stopping the servers of {self.layout.root} for too long"
        with exclusive(self.layout.stack_lock, wait_s=self._ready_timeout_s + 10, busy=busy, hint="look at its logs"):
            yield
