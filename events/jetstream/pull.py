"""Pulling messages continuously: a request is always open, so the server hands over a message as it arrives.

``fetch`` of nats-py first asks without waiting, and asks again if there was nothing: two round trips and a timer a
message on a quiet log. A request that stays open costs none, and its size is the bound on what is in flight.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from events.jetstream.place import place_of
from events.jetstream.quick_client import QuickClient, fields_of
from schemas.errors import LogUnavailable

_HEARTBEAT_S = 1.0
_SILENCE_S = 3.0
_EXPIRES_S = 30.0
_TICK_S = 0.2
_DRAIN_S = 1.0
# Well under the 128 MiB at which nats-py throws messages of a subscription away.
_REQUEST_BYTES = 16 * 1024 * 1024
_SECOND = 1_000_000_000


class ConsumerGone(LogUnavailable):
    """The server no longer knows the consumer, or its request was lost on the way: messages may be missing."""


class Pull:
    """An endless sequence of message lists from one consumer. An asynchronous context manager.

    Two requests of half a batch take turns, so that the server need never wait for the next one.

    Args:
        stream, consumer: names.
        batch: most messages that are on their way at once.
        arrived: called with each message as it arrives, long before :meth:`next` hands it out, maybe.
        headers: whether somebody looks at the headers of the messages.
        known: whether the message of a sequence and all before it are known: for those nobody is woken up.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        consumer: str,
        batch: int,
        arrived: Callable[[Msg], None] | None = None,
        *,
        headers: bool = False,
        known: Callable[[int], bool] | None = None,
    ) -> None:
        self._nc = nc
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._size = max(1, batch // 2)
        self._most = batch
        self._inbox = nc.new_inbox()
        self._arrived: list[Msg] = []
        self._on_arrival = arrived
        self._headers = headers
        self._known = known
        self._looking = False
        self._wake = asyncio.Event()
        self._numbers = itertools.count(1)
        self._open = 0  # messages asked for and not yet here; the server serves open requests alternately
        self._failure: LogUnavailable | None = None
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        try:
            self._subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_message)
        except (NatsError, OSError) as error:
            raise LogUnavailable(f"the connection to NATS is closed: {error}") from error
        if isinstance(self._nc, QuickClient):
            self._nc.direct[self._subscription._id] = self._on_delivery
        self._connection = self._nc.stats["reconnects"]
        self._heard = self._ticked = asyncio.get_running_loop().time()
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._watch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._subscription is None or self._nc.is_closed or self._nc.is_draining:
            return
        try:
            async with asyncio.timeout(_DRAIN_S):
                # Draining hears of what is under way right now: ``arrived`` must know, to give it back.
                if self._nc.is_connected:
                    await self._subscription.drain()  # type: ignore[no-untyped-call]
                else:
                    await self._subscription.unsubscribe()
        except (NatsError, OSError, TimeoutError):
            return  # the connection went away in this moment, and the subscription with it
        finally:
            if isinstance(self._nc, QuickClient):
                self._nc.direct.pop(self._subscription._id, None)

    @property
    def left(self) -> list[Msg]:
        """What arrived and was not handed out."""
        return self._arrived

    async def next(self) -> list[Msg]:
        """Messages in order, never none. Raises :class:`ConsumerGone`, or LogUnavailable if the connection is shut."""
        while not self._arrived:
            if self._failure is not None:
                raise self._failure
            await self._ask()
            self._wake.clear()
            await self._wake.wait()
        messages, self._arrived = self._arrived, []
        await self._ask()
        return messages

    async def _on_message(self, msg: Msg) -> None:
        if msg.reply.startswith("$JS.ACK"):
            self._take(msg)
        else:
            self._on_status(msg.headers or {})

    def _on_delivery(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """As :meth:`_on_message`, without the way through nats-py: 0.1 ms a message when they come singly."""
        if reply.startswith(b"$JS.ACK"):
            fields = fields_of(headers) if self._headers and headers else None
            self._take(Msg(self._nc, subject.decode(), reply.decode(), data, fields))
        else:
            self._on_status(fields_of(headers))

    def _take(self, msg: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._arrived.append(msg)
        if self._on_arrival is not None:
            self._on_arrival(msg)
        self._open -= 1
        if self._known is None:
            self._wake.set()
        elif not self._looking:
            # An acknowledgement may have come with the message: whoever waits for it has to hear of it before.
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look, self._known)

    def _look(self, known: Callable[[int], bool]) -> None:
        self._looking = False
        if self._arrived and (len(self._arrived) >= self._size or not known(place_of(self._arrived[-1]).sequence)):
            self._wake.set()

    async def _ask(self) -> None:
        while self._failure is None and self._open + len(self._arrived) <= self._most - self._size:
            reply = f"{self._inbox}.{next(self._numbers)}"
            self._open += self._size
            ask = {
                "batch": self._size,
                "max_bytes": _REQUEST_BYTES,
                "expires": int(_EXPIRES_S * _SECOND),
                "idle_heartbeat": int(_HEARTBEAT_S * _SECOND),
            }
            try:
                await self._nc.publish(self._subject, msgspec.json.encode(ask), reply=reply)
            except (NatsError, OSError) as error:
                self._fail(ConsumerGone(f"the request could not be sent: {error}"))

    def _on_status(self, headers: dict[str, str]) -> None:
        self._heard = asyncio.get_running_loop().time()
        status, text = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":
            return
        if status == "503" or (status == "409" and ("Deleted" in text or "Shutdown" in text)):
            self._fail(ConsumerGone(f"the consumer is gone: {text or 'nobody answers'}"))
            return
        # 404, 408 or 409: this request is over, with so many messages still to come; the next one goes on.
        self._open -= int(headers.get("Nats-Pending-Messages", self._size))
        self._wake.set()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._ticked > 2 * _TICK_S:
            self._heard = now  # this process was busy, not the server silent: what came meanwhile is still unread
        self._ticked = now
        if self._nc.is_closed:
            self._fail(LogUnavailable("the connection to NATS was closed"))
        elif self._nc.stats["reconnects"] != self._connection:
            self._fail(ConsumerGone("the connection was lost, and the request with it"))
        elif self._open > 0 and now - self._heard > _SILENCE_S:
            self._fail(ConsumerGone(f"the server has been silent for {_SILENCE_S:.0f} s"))
        self._timer = loop.call_later(_TICK_S, self._watch)

    def _fail(self, failure: LogUnavailable) -> None:
        self._failure = failure
        self._wake.set()
