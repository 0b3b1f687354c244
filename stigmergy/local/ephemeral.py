"""Throw-away servers for tests and benchmarks: on free ports, gone with the block and with the process.

::

    with nats_server(tmp_path) as nats, valkey_server(tmp_path) as valkey:
        connect(nats.url)
        nats.kill()   # SIGKILL, as in a crash
        nats.start()  # the same data, port and URL

They are the embedded servers with the same configuration, so what passes here passes in ``stig dev``. Ready in about
0.1 s. Each needs its own folder; NATS and Valkey may share one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stigmergy.local import marks
from stigmergy.local.layout import Layout, private_folder
from stigmergy.local.leash import leashed
from stigmergy.local.lock import exclusive
from stigmergy.local.marks import ProcessMark
from stigmergy.local.nats_server import NatsServer
from stigmergy.local.ports import free_port
from stigmergy.local.server import EmbeddedServer, PortLost, await_ready, spawn
from stigmergy.local.valkey_server import ValkeyServer

_PORT_TRIES = 5
_TIMEOUT_S = 20.0


class ThrowAwayServer:
    """A running server that may be killed and started again."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server, self._mark, self.port = server, ProcessMark(pid=0, birth=""), 0

    @property
    def url(self) -> str:
        """With the secret in it."""
        return self._server.url(self.port)

    @property
    def pid(self) -> int:
        return self._mark.pid

    def start(self) -> None:
        """Start it (again) on its port; returns when it answers."""
        launch = self._server.launch(self.port)
        self._mark = spawn(leashed(launch.argv), launch.env, launch.output)
        await_ready(self._server, launch, self._mark, self.port, _TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and wait until it has ended well."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing, as behind a network that swallows packets."""
        marks.send(self._mark, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after :meth:`pause`."""
        marks.send(self._mark, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if marks.send(self._mark, number) and not marks.await_end(self._mark, 10.0):
            marks.send(self._mark, signal.SIGKILL)
            marks.await_end(self._mark, 10.0)
        marks.reap(self._mark.pid)

    def start_somewhere(self, port: int | None) -> None:
        """Start on ``port``, or on a free one; another one again if somebody was quicker."""
        tries = 1 if port else _PORT_TRIES
        for left in reversed(range(tries)):
            self.port = port or free_port()
            try:
                self.start()
            except PortLost:
                if not left:
                    raise
            else:
                return


@contextmanager
def nats_server(
    folder: Path, *, port: int | None = None, store_bytes: int = 2**30, monitor_port: int | None = None
) -> Iterator[ThrowAwayServer]:
    """NATS with JetStream below ``folder``, by token; SIGKILL at the end. Raises ToolMissing, Unavailable, Conflict."""
    layout = throw_away_layout(folder)
    with running_server(NatsServer(layout, store_bytes=store_bytes, monitor_port=monitor_port), port) as server:
        yield server


@contextmanager
def valkey_server(folder: Path, *, port: int | None = None) -> Iterator[ThrowAwayServer]:
    """Valkey below ``folder``, by password; SIGKILL at the end. Raises ToolMissing, Unavailable, Conflict."""
    with running_server(ValkeyServer(throw_away_layout(folder)), port) as server:
        yield server


def throw_away_layout(folder: Path) -> Layout:
    """Where the servers of this process keep what they need, below ``folder``."""
    layout = Layout.at(folder / f"servers-{os.getpid()}")
    layout.create()
    return layout


@contextmanager
def running_server(server: EmbeddedServer, port: int | None) -> Iterator[ThrowAwayServer]:
    """``server`` for the time of the block, on ``port`` or a free one. Raises Conflict if another one has its home."""
    home = server.config().parent
    private_folder(home)
    busy = f"another {server.name} runs in {home}, and two on one store destroy it"
    with exclusive(home / "in-use", wait_s=0, busy=busy, hint="give each server a folder of its own"):
        running = ThrowAwayServer(server)
        try:
            running.start_somewhere(port)
            yield running
        finally:
            running.kill()
