"""The embedded Valkey server (it speaks Redis): the broker of Celery and the world model, on loopback, by password."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from stigmergy.local.binaries import valkey_binary
from stigmergy.local.layout import Layout, private_folder, write_private
from stigmergy.local.ports import HOST
from stigmergy.local.server import Launch
from stigmergy.local.tail import size, turn_over


@dataclass(frozen=True)
class ValkeyServer:
    """Valkey with an append-only file, configured by us, its data under ``layout.home("valkey")``."""

    layout: Layout
    name: str = "valkey"
    port_variable: str = "STIGMERGY_REDIS_PORT"

    def config(self) -> Path:
        return self.layout.home(self.name) / "valkey.conf"

    def url(self, port: int) -> str:
        return f"redis://:{self.layout.secret('valkey-password')}@{HOST}:{port}/0"

    def launch(self, port: int) -> Launch:
        binary, home = valkey_binary(), self.layout.home(self.name)
        private_folder(home)
        private_folder(home / "data")
        write_private(self.config(), self._configuration(port))
        log, output = self.layout.log(self.name), self.layout.logs / "valkey.out"
        output.unlink(missing_ok=True)
        turn_over(log)  # Valkey never turns its log over; it writes a few lines a day
        # An unknown locale in the user's environment stops Valkey at start: give it one that always exists.
        env = {**os.environ, "LC_ALL": "C"}
        return Launch((str(binary), str(self.config())), self.config(), log, output, env, size(log))

    def _configuration(self, port: int) -> str:
        home = self.layout.home(self.name)
        settings = {
            "bind": HOST,
            "port": port,
            "protected-mode": "yes",
            "requirepass": self.layout.secret("valkey-password"),
            "daemonize": "no",
            # Its title would hide the command line by which a later start recognises this server.
            "set-proc-title": "no",
            "dir": _quoted(home / "data"),
            "pidfile": _quoted(home / "valkey.pid"),
            "logfile": _quoted(self.layout.log(self.name)),
            # One second of writes may be lost in a power cut, none by kill -9. The world model is folded again from
            # the log, and leases send lost attempts again: nothing here is the only copy.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            # Evicting a queued task would lose work silently: refuse the write instead.
            "maxmemory": psutil.virtual_memory().total // 2,
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": 60,
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def is_ready(self, port: int) -> bool:
        password = self.layout.secret("valkey-password")
        try:
            with socket.create_connection((HOST, port), timeout=0.5) as wire:
                wire.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                return _answers(wire)
        except OSError:
            return False


def _answers(wire: socket.socket) -> bool:
    heard = b""
    while heard.count(b"\r\n") < 2:  # +OK and +PONG, or -LOADING while it reads its file
        piece = wire.recv(1024)
        heard += piece
        if not piece:
            return False
    return heard.startswith(b"+OK\r\n+PONG")


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
