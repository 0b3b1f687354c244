"""What an embedded server is to the rest of this folder, and how one is started and awaited."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.errors import DiskFull, Unavailable
from stigmergy.local.marks import ProcessMark, alive, mark, reap
from stigmergy.local.tail import tail

READY_TIMEOUT_S = 60.0
"""A new store is ready in 0.1 s; a large one is read first. A server that dies is noticed at once."""


@dataclass(frozen=True)
class Launch:
    """How to start one server: ``config`` is an absolute path that is also a word of ``argv``, and so identifies it."""

    argv: tuple[str, ...]
    config: Path
    log: Path
    output: Path
    """What it prints before its own log is open."""
    env: Mapping[str, str]
    log_begins: int
    """The size of the log before: what an earlier run complained of is not our reason."""


class EmbeddedServer(Protocol):
    """NATS or Valkey, with a home directory and no port yet."""

    @property
    def name(self) -> str: ...

    @property
    def port_variable(self) -> str:
        """The setting by which a person chooses the port."""
        ...

    def launch(self, port: int) -> Launch:
        """Write the configuration for ``port`` and say how to start. Raises ToolMissing, DiskFull, Unavailable."""
        ...

    def config(self) -> Path:
        """Where that configuration lies, also before it is written."""
        ...

    def url(self, port: int) -> str:
        """The URL for clients, with the secret in it."""
        ...

    def is_ready(self, port: int) -> bool:
        """Whether it answers an authenticated request on ``port``; waits half a second at most."""
        ...


class PortLost(Unavailable):
    """Somebody else took the port between our look and the server's."""


def spawn(argv: tuple[str, ...], env: Mapping[str, str], output: Path, *, stdin: int | None = None) -> ProcessMark:
    """Start a program in a session of its own, deaf to our terminal, that may outlive this process.

    It appends what it prints to ``output`` and reads the descriptor ``stdin``, or nothing.

    ``posix_spawn`` rather than ``subprocess``: a ``Popen`` that is dropped while its child lives is a ResourceWarning,
    and the servers are meant to outlive whoever started them.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    actions = [
        nothing if stdin is None else (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawn(argv[0], argv, dict(env), file_actions=actions, setsid=True)
    except OSError as error:
        raise Unavailable(
            f"cannot start {argv[0]}: {error.strerror}", hint=f"check the program and {output}"
        ) from error
    # A program that ended within these microseconds is a zombie now: it gets a mark that matches nothing alive.
    return mark(pid) or ProcessMark(pid=pid, birth="ended")


def await_ready(server: EmbeddedServer, launch: Launch, who: ProcessMark, port: int, timeout_s: float) -> None:
    """Return when ``server`` answers. Raises PortLost, DiskFull or Unavailable, with the end of its log, if it dies."""
    deadline = time.monotonic() + timeout_s
    while not server.is_ready(port):
        if not alive(who):
            reap(who.pid)
            raise _why_it_ended(server, launch, port)
        if time.monotonic() >= deadline:
            raise Unavailable(f"{server.name} did not answer within {timeout_s:g} s", hint=f"see {launch.log}")
        time.sleep(0.005)
    if not alive(who):
        raise PortLost(f"another server answers on port {port} of {server.name}", hint=f"set {server.port_variable}")


def _why_it_ended(server: EmbeddedServer, launch: Launch, port: int) -> Unavailable | DiskFull:
    last = tail(launch.log, 12, since=launch.log_begins) + tail(launch.output, 12)
    text = last.lower()
    if "address already in use" in text:
        return PortLost(f"port {port} of {server.name} was taken", hint=f"set {server.port_variable} to another port")
    if "no space left" in text:
        return DiskFull(f"{server.name} found no space left on the disk", hint="free some space and start again")
    return Unavailable(f"{server.name} ended while starting:\n{last}", hint=f"see {launch.log}")
