"""TCP ports of the loopback interface: a free one, a busy one, and who holds it."""

from __future__ import annotations

import os
import socket

import psutil

from schemas.errors import Unavailable

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that was free a moment ago; somebody may still be quicker, so its user must be ready to ask again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        # Without it a port in TIME_WAIT looks busy, though both servers would get it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def port_taken(server: str, port: int, variable: str) -> Unavailable:
    """The error for a port that somebody else holds, naming the holder if the system tells."""
    who = _holder(port)
    return Unavailable(
        f"port {port} for {server} is in use{f' by {who}' if who else ''}",
        hint=f"end {who or 'the process that holds it'}, or set {variable} to another port, or unset it for a free one",
    )


def _holder(port: int) -> str:
    try:
        sockets = psutil.net_connections("tcp")
        pids = [s.pid for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr and s.laddr.port == port and s.pid]
        if not pids:
            return ""
        return "this process" if pids[0] == os.getpid() else f"{psutil.Process(pids[0]).name()} (pid {pids[0]})"
    except psutil.Error:
        return ""  # of another user, or just gone
