"""Signals: quick, unstored, for whoever listens at this moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg

from events.jetstream.quick_client import QuickClient
from events.memory import matches

_log = logging.getLogger(__name__)
Listener = Callable[[bytes], None]


class Signals(Protocol):
    """Publishes and hears signals."""

    @property
    def connected(self) -> bool:
        """Whether signals that are sent now are heard here, as far as this side knows."""

    async def send(self, subject: str, payload: bytes) -> None: ...

    async def listen(self, pattern: str, listener: Listener) -> None:
        """Call ``listener`` with the payload of every signal that matches, until the connection is closed."""


class NatsSignals:
    """Signals over core NATS."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    @property
    def connected(self) -> bool:
        return bool(self._nc.is_connected)

    async def send(self, subject: str, payload: bytes) -> None:
        await self._nc.publish(subject, payload)
        if isinstance(self._nc, QuickClient):
            self._nc.write_out()  # few and urgent: an order for a worker that stands by is one

    async def listen(self, pattern: str, listener: Listener) -> None:
        async def hear(msg: Msg) -> None:
            listener(msg.data)

        def deliver(_subject: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
            try:
                listener(data)
            except Exception:  # noqa: BLE001 - whatever it is, the connection is not to be lost over it
                _log.exception("a signal for %s could not be heard", pattern)

        subscription = await self._nc.subscribe(pattern, cb=hear)
        if isinstance(self._nc, QuickClient):
            self._nc.direct[subscription._id] = deliver


class MemorySignals:
    """Signals within one process, for unit tests."""

    def __init__(self) -> None:
        self._listeners: list[tuple[str, Listener]] = []

    @property
    def connected(self) -> bool:
        return True

    async def send(self, subject: str, payload: bytes) -> None:
        for pattern, listener in list(self._listeners):
            if matches(subject, pattern):
                listener(payload)

    async def listen(self, pattern: str, listener: Listener) -> None:
        self._listeners.append((pattern, listener))
