"""The servers in the hands of several: whoever is last to let go stops them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping

from stigmergy.local.endpoints import Endpoints
from stigmergy.local.stack import Stack
from stigmergy.settings import SecretUrl, Settings


class SharedStack:
    """A hold on the servers that the settings leave to us; a ground for the supervisor.

    Each holder has a shared ``flock`` on one file, which the kernel drops with the process. Who lets go asks for it
    exclusively: if that is granted, nobody else holds on, and nobody can begin to before the servers have stopped.
    """

    def __init__(self, settings: Settings) -> None:
        given = {"nats": settings.nats_url, "valkey": settings.redis_url}
        ports = {"nats": settings.nats_port, "valkey": settings.redis_port}
        self._given: dict[str, SecretUrl] = {name: url for name, url in given.items() if url is not None}
        self._ports = {name: port for name, port in ports.items() if port is not None and name not in self._given}
        self._names = tuple(name for name in given if name not in self._given)
        self._settings = settings
        self._hold: int | None = None
        self.stack = Stack(settings.state_dir, servers=self._names)

    def start(self) -> Mapping[str, str]:
        """Hold on and start; the environment of processes that use the servers. Raises what ``Stack.start`` raises."""
        return {**self._settings.environment(), **self.acquire().environment()}

    def acquire(self) -> Endpoints:
        """As :meth:`start`, but gives the endpoints."""
        self.stack.layout.create()
        self._hold = os.open(self.stack.layout.root / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._hold, fcntl.LOCK_SH)  # waits only while the last one stops the servers: that is bounded
            self.stack.start(self._ports)
            return self.endpoints()
        except BaseException:
            self._let_go()
            raise

    def endpoints(self) -> Endpoints:
        """Where the servers answer now: the given URLs, and those of the embedded servers that run."""
        urls = {**self.stack.urls(), **self._given}
        pids = {name: record.mark.pid for name, record in self.stack.running().items()}
        nowhere = SecretUrl("")
        return Endpoints(urls.get("nats", nowhere), urls.get("valkey", nowhere), pids)

    def mend(self) -> list[str]:
        """Start again what has died; the names."""
        return self.stack.mend()

    def stop(self) -> bool:
        """Let go; True if that was the last hold and the servers were stopped."""
        if self._hold is None:
            return False
        try:
            fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self.stack.stop(self._settings.stop_grace_s)
        except BlockingIOError:
            return False  # somebody else still works with them
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None
