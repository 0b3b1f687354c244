"""Pulling messages continuously: one request is always open, so the server hands over a message as it arrives.

``fetch`` of nats-py first asks without waiting, and asks again if there was nothing: two round trips and a timer a
message on a quiet log. A request that stays open costs none, and its size is the bound on what is in flight.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from schemas.errors import LogUnavailable

_HEARTBEAT_S = 1.0
_SILENCE_S = 3.0
_EXPIRES_S = 30.0
_SECOND = 1_000_000_000


class ConsumerGone(LogUnavailable):
    """The server no longer knows the consumer: it was deleted, or the server lost it in a restart."""


class Pull:
    """An endless sequence of message lists from one consumer.

    Args:
        stream, consumer: names.
        batch: most messages that are on their way at once.
    """

    def __init__(self, nc: Client, stream: str, consumer: str, batch: int) -> None:
        self._nc = nc
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._inbox = nc.new_inbox()
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._numbers = itertools.count(1)
        self._number = 0
        self._open = 0

    async def lists(self) -> AsyncIterator[list[Msg]]:
        """Lists of messages, never empty. Raises :class:`ConsumerGone`."""
        subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_message)
        try:
            while True:
                if self._open <= 0:
                    await self._request()
                if not self._arrived:
                    await self._wait()
                if messages := self._drain():
                    yield messages
        finally:
            await self._unsubscribe(subscription)

    async def _on_message(self, msg: Msg) -> None:
        self._arrived.append(msg)
        self._wake.set()

    async def _request(self) -> None:
        self._number = next(self._numbers)
        self._open = self._batch
        ask = {
            "batch": self._batch,
            "expires": int(_EXPIRES_S * _SECOND),
            "idle_heartbeat": int(_HEARTBEAT_S * _SECOND),
        }
        try:
            await self._nc.publish(self._subject, msgspec.json.encode(ask), reply=f"{self._inbox}.{self._number}")
        except (NatsError, OSError):
            self._open = 0
            await asyncio.sleep(0.1)

    async def _wait(self) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), _SILENCE_S)
        except TimeoutError:
            self._open = 0  # not even a heartbeat: the request was lost with a connection or a leader

    def _drain(self) -> list[Msg]:
        messages: list[Msg] = []
        while self._arrived:
            msg = self._arrived.popleft()
            if msg.reply.startswith("$JS.ACK"):
                messages.append(msg)
                self._open -= 1
            else:
                self._on_status(msg)
        return messages

    def _on_status(self, msg: Msg) -> None:
        headers = msg.headers or {}
        status, text = headers.get("Status", ""), headers.get("Description", "")
        if status == "100" or not msg.subject.endswith(f".{self._number}"):
            return
        if status == "503" or (status == "409" and ("Deleted" in text or "Shutdown" in text)):
            raise ConsumerGone(f"the consumer is gone: {text or 'nobody answers'}")
        self._open = 0  # 404, 408 or 409: this request is over, the next one goes on

    async def _unsubscribe(self, subscription: object) -> None:
        if not self._nc.is_closed:
            await subscription.unsubscribe()  # type: ignore[attr-defined]
