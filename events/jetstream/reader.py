"""Reading a stream in order, without gaps, through lost connections and restarted servers.

The consumers of readers are not acknowledged and live in the server's memory: cheap, but what was on its way when a
connection broke is gone. So the reader counts; when a number is missing, or the consumer is gone, it makes a new one
that begins where it stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg

from events.jetstream.api import ApiRefused, soon
from events.jetstream.consumers import Consumers
from events.jetstream.place import Place, place_of
from events.jetstream.pull import ConsumerGone, Pull
from events.port import Window
from schemas.errors import LogUnavailable

_log = logging.getLogger(__name__)
_PAUSE_S = 0.25
_PATIENCE_S = 30.0


class Reader:
    """One reader's way through a stream. An asynchronous context manager.

    A ``patient`` one also waits for a server that is away when it begins.
    With ``headers`` the messages have theirs. ``known``: as for :meth:`~events.port.Log.messages`.
    ``pending`` is how many messages were still to come after those handed out.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        window: Window,
        batch: int,
        *,
        patient: bool = False,
        headers: bool = False,
        known: Callable[[int], bool] | None = None,
    ) -> None:
        self._nc = nc
        self._consumers = Consumers(nc)
        self._stream = stream
        self._window = window
        self._batch = batch
        self._patient = patient
        self._headers = headers
        self._known = known
        self._order = 0
        self.pending = 0

    async def __aenter__(self) -> Self:
        await (patiently(self._nc, self._begin) if self._patient else soon(self._nc, self._begin))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def next(self) -> list[tuple[Place, Msg]]:
        """The next messages and their places; sometimes none.

        Raises:
            LogUnavailable: the connection is closed for good, or the server no longer has the stream.
        """
        try:
            messages = self._in_order(await self._pull.next())
        except ConsumerGone as gone:
            _log.info("reading %s anew from %d: %s", self._stream, self._window.first, gone)
            await self._end()
            await patiently(self._nc, self._begin)
            return []
        return messages

    async def _begin(self, within_s: float = 2.0) -> None:
        consumer = await self._consumers.ephemeral(self._stream, self._window, timeout_s=within_s)
        self._consumer = consumer.name
        self._order, self.pending = 0, consumer.pending
        pull = Pull(self._nc, self._stream, consumer.name, self._batch, headers=self._headers, known=self._known)
        self._pull = await pull.__aenter__()

    async def _end(self) -> None:
        await self._pull.__aexit__(None, None, None)
        await self._consumers.drop(self._stream, self._consumer)

    def _in_order(self, messages: list[Msg]) -> list[tuple[Place, Msg]]:
        """What follows without a gap; the rest is read again."""
        result: list[tuple[Place, Msg]] = []
        for msg in messages:
            place = place_of(msg)
            if place.order != self._order + 1:
                if not result:
                    raise ConsumerGone(f"messages before {place.sequence} were lost on the way")
                break
            self._order = place.order
            if place.sequence >= self._window.first:
                result.append((place, msg))
        if result:
            last = result[-1][0]
            self.pending = last.pending
            # Everything after it is younger than ``since``, too.
            self._window = replace(self._window, first=last.sequence + 1, since=None)
        return result


async def patiently[T](nc: Client, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until the server is back; a server that answers but refuses is given some time to read its store."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    while True:
        try:
            return await attempt()
        except LogUnavailable as error:
            refused = isinstance(error, ApiRefused) and loop.time() > deadline
            if nc.is_closed or refused:
                raise
            await asyncio.sleep(_PAUSE_S)
