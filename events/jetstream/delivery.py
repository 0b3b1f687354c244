"""Deliveries of a durable subscription: settled once, kept alive while they are worked on, buried when hopeless."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from events.jetstream.place import place_of
from events.port import Subscription
from schemas.envelope import Event
from schemas.errors import InvalidInput, LimitExceeded, LogUnavailable, StigmergyError

_log = logging.getLogger(__name__)
Bury = Callable[[Msg, StigmergyError, str], Awaitable[None]]


class JetStreamDelivery:
    """One message of a durable subscription."""

    def __init__(self, owner: Deliveries, msg: Msg, events: tuple[Event, ...], attempts: int) -> None:
        self._owner = owner
        self._msg = msg
        self.events = events
        self.attempts = attempts

    async def ack(self) -> None:
        await self._owner.settle(self._msg, b"+ACK")

    async def retry(self, delay_s: float = 0.0) -> None:
        body = b'-NAK {"delay": %d}' % int(delay_s * 1_000_000_000) if delay_s else b"-NAK"
        await self._owner.settle(self._msg, body)

    async def reject(self, error: StigmergyError) -> None:
        await self._owner.bury(self._msg, error)


class Deliveries:
    """What a subscription has in hand. While it is open, the server is told that the work goes on.

    That goes for messages that wait for their turn, too: else a slow handler's next messages would be handed to others
    while they stand in its queue.
    """

    def __init__(self, nc: Client, subscription: Subscription, bury: Bury) -> None:
        self._nc = nc
        self._subscription = subscription
        self._bury = bury
        self._open: dict[str, Msg] = {}
        self._pulse: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Deliveries:
        self._pulse = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        await self.give_back(list(self._open.values()))

    def arrived(self, msg: Msg) -> None:
        """A message came in; it may have to wait for its turn."""
        self._open[msg.reply] = msg

    async def give_back(self, messages: list[Msg]) -> None:
        """To somebody else at once, instead of after the wait."""
        for msg in messages:
            self._open.pop(msg.reply, None)
        await self._say([msg.reply for msg in messages], b"-NAK")

    async def open(self, msg: Msg, resolve: Callable[[Msg], Awaitable[list[Event]]]) -> JetStreamDelivery | None:
        """A delivery, or None if the message went to the dead letters."""
        place = place_of(msg)
        if place.delivered > self._subscription.max_deliver:
            gave_up = LimitExceeded(f"{self._subscription.name} failed on it {place.delivered - 1} times")
            await self.bury(msg, gave_up)
            return None
        try:
            events = await resolve(msg)
        except InvalidInput as error:
            await self.bury(msg, error)
            return None
        return JetStreamDelivery(self, msg, tuple(events), place.delivered)

    async def settle(self, msg: Msg, answer: bytes) -> None:
        """Answer the server; a second answer for the same message is ignored. Raises :class:`LogUnavailable`."""
        if self._open.pop(msg.reply, None) is None:
            return
        try:
            await self._nc.publish(msg.reply, answer)
        except (NatsError, OSError) as error:
            raise LogUnavailable(
                f"{answer.decode()} for message {place_of(msg).sequence} could not be sent: {error}",
                hint="it will be delivered again",
            ) from error

    async def bury(self, msg: Msg, error: StigmergyError) -> None:
        await self._bury(msg, error, self._subscription.name)
        await self.settle(msg, b"+TERM")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._subscription.ack_wait_s / 3)
            await self._say(list(self._open), b"+WPI")

    async def _say(self, replies: list[str], answer: bytes) -> None:
        if self._nc.is_closed:
            return
        try:
            for reply in replies:
                await self._nc.publish(reply, answer)
        except (NatsError, OSError) as error:
            _log.warning("%s could not tell the server %s: %s", self._subscription.name, answer.decode(), error)
