"""The embedded NATS server: the event log of a laptop, on the loopback interface, behind a token."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stigmergy.local.binaries import nats_binary
from stigmergy.local.layout import Layout, private_folder, write_private
from stigmergy.local.ports import HOST
from stigmergy.local.server import Launch
from stigmergy.local.tail import LOG_CAP_BYTES, size, turn_over

MAX_PAYLOAD = 2**20
"""Bytes in one message. It is the default of every NATS server, on purpose: a frame that is too large must fail on the
laptop, not later on the cluster. What is larger than 64 KiB travels as a reference to the blob store anyway."""

MAX_MEMORY_STORE = 256 * 2**20
_GIB = 2**30


def store_limit(folder: Path) -> int:
    """Bytes that JetStream may fill: half of the free disk, between 1 and 32 GiB.

    Asked once for a new store, then read from its configuration: streams reserve space below the limit, and under a
    lower one they would not come up again.
    """
    return min(max(shutil.disk_usage(folder).free // 2, _GIB), 32 * _GIB)


@dataclass(frozen=True)
class NatsServer:
    """NATS with JetStream, configured by us, its data under ``layout.home("nats")``.

    Args:
        layout: the state directory.
        store_bytes: the limit of the file store; None for :func:`store_limit`.
        monitor_port: serve the monitoring pages on this loopback port; they need no token, so off by default.
        name: of its home and its files; several servers below one layout share the token.
        host: the address it listens on.
        further: settings of NATS that go before ours, such as those of a cluster.
    """

    layout: Layout
    store_bytes: int | None = None
    monitor_port: int | None = None
    name: str = "nats"
    port_variable: str = "STIGMERGY_NATS_PORT"
    host: str = HOST
    further: Mapping[str, Any] = field(default_factory=dict)

    def config(self) -> Path:
        return self.layout.home(self.name) / "nats.conf"

    def url(self, port: int) -> str:
        return f"nats://{self.layout.secret('nats-token')}@{self.host}:{port}"

    def launch(self, port: int) -> Launch:
        binary, home = nats_binary(), self.layout.home(self.name)
        private_folder(home)
        write_private(self.config(), self._configuration(port))
        log, output = self.layout.log(self.name), self.layout.logs / f"{self.name}.out"
        output.unlink(missing_ok=True)
        turn_over(log)
        # GOMAXPROCS and the like come through; NATS itself reads nothing from the environment unless told to.
        return Launch((str(binary), "-c", str(self.config())), self.config(), log, output, dict(os.environ), size(log))

    def _configuration(self, port: int) -> str:
        home = self.layout.home(self.name)
        settings: dict[str, Any] = {
            "server_name": "stigmergy-local",
            "listen": f"{self.host}:{port}",
            "max_payload": MAX_PAYLOAD,
            "authorization": {"token": self.layout.secret("nats-token")},
            # sync_interval stays at its default of two minutes: kill -9 of the server loses nothing acknowledged, and
            # an fsync for each message costs a factor of ten. Who fears a power cut runs a cluster.
            "jetstream": {
                "store_dir": str(home / "jetstream"),
                "max_file_store": self._limit(),
                "max_memory_store": MAX_MEMORY_STORE,
            },
            "pid_file": str(home / "nats.pid"),
            "log_file": str(self.layout.log(self.name)),
            "logfile_size_limit": LOG_CAP_BYTES,
            "logfile_max_num": 3,
            "logtime_utc": True,
        }
        if self.monitor_port is not None:
            settings["http"] = f"{HOST}:{self.monitor_port}"
        settings |= self.further
        # The configuration language of NATS accepts JSON, which quotes blanks and quotation marks in paths for us; it
        # does not know \\u escapes, hence ensure_ascii=False.
        return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"

    def _limit(self) -> int:
        if self.store_bytes is not None:
            return self.store_bytes
        try:
            return int(json.loads(self.config().read_bytes())["jetstream"]["max_file_store"])
        except (FileNotFoundError, ValueError, KeyError):  # a new store, or a file that a person has edited
            return store_limit(self.layout.home(self.name))

    def is_ready(self, port: int) -> bool:
        # Spoken by hand: one round trip, while a client of nats-py needs an event loop and 0.2 s of imports.
        greeting = {"verbose": False, "pedantic": False, "auth_token": self.layout.secret("nats-token")}
        try:
            with socket.create_connection((self.host, port), timeout=0.5) as wire:
                wire.sendall(f"CONNECT {json.dumps(greeting)}\r\nPING\r\n".encode())
                return _answers(wire)
        except OSError:
            return False


def _answers(wire: socket.socket) -> bool:
    heard = b""
    while b"PONG\r\n" not in heard:
        piece = wire.recv(4096)
        heard += piece
        if not piece or b"-ERR" in heard:
            return False
    return b'"jetstream":true' in heard
