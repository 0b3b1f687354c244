"""Messages as they come, made into Arrow piece by piece, until they are a batch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from events.port import Log, Stored
from projections.analytics.columns import Part, parts_of, table_of
from projections.analytics.rows import Message, decode, whole
from projections.patience import patiently
from schemas.errors import InvalidEvent, InvalidInput, StigmergyError

_log = logging.getLogger(__name__)
_PIECE_ROWS = 16_384
_PIECE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is inserted: so many rows, so many bytes, so many seconds after its first message; and the pause
    before what failed is tried again.

    At most two batches are in memory: the one that is being inserted and the one that is gathered meanwhile.
    """

    rows: int = 500_000
    bytes: int = 256 * 1024 * 1024
    seconds: float = 1.0
    retry_s: float = 2.0


class Gathering:
    """The messages after ``end``, up to ``last`` if it is given."""

    def __init__(self, log: Log, limits: Limits, end: int, last: int | None = None) -> None:
        self._log = log
        self._limits = limits
        self._pending: list[Message] = []
        self._pending_rows = self._pending_bytes = 0
        self._parts: list[Part] = []
        self.first = end + 1
        self.last = end
        self._until = last
        self._joined: asyncio.Future[Any] | None = None
        self.rows = self.bytes = 0
        self.since = 0.0

    @property
    def empty(self) -> bool:
        """Whether no message came yet."""
        return self.last < self.first

    @property
    def complete(self) -> bool:
        """Whether it has come to the last message that may go in."""
        return self._until is not None and self.last >= self._until

    @property
    def full(self) -> bool:
        """Whether it is time to insert it, whatever the clock says."""
        return self.complete or self.rows >= self._limits.rows or self.bytes >= self._limits.bytes

    async def add(self, messages: Sequence[Stored]) -> Sequence[Stored]:
        """Take messages in the order of the log; returns those that are too many. What cannot be read is buried."""
        if self.empty:
            self.since = asyncio.get_running_loop().time()
        rest = await self._add(messages)
        if self.full:
            await self._join()  # while the batch before it is inserted, which takes longer than joining this one
        return rest

    async def table(self) -> Any:
        """All rows, in one piece. Nothing can be added any more."""
        return await (await self._join())

    async def _add(self, messages: Sequence[Stored]) -> Sequence[Stored]:
        for number, stored in enumerate(messages):
            if self.full:
                return messages[number:]
            if self._until is not None and stored.sequence > self._until:
                self.last = self._until
                return messages[number:]
            await self._take(stored)
        return ()

    async def _join(self) -> asyncio.Future[Any]:
        if self._joined is None:
            await self._make_parts()
            parts, self._parts = self._parts, []  # the pieces go as soon as they are joined
            self._joined = asyncio.get_running_loop().run_in_executor(None, table_of, parts)
        return self._joined

    async def _take(self, stored: Stored) -> None:
        self.last = stored.sequence
        try:
            message = await self._decoded(stored)
        except InvalidInput as error:
            await self._bury(stored, error)
            return
        self._pending.append(message)
        self._pending_rows += message.many
        self._pending_bytes += message.size
        self.rows += message.many
        self.bytes += message.size
        if self._pending_rows >= _PIECE_ROWS or self._pending_bytes >= _PIECE_BYTES:
            await self._make_parts()
            await asyncio.sleep(0)  # the connection wants to answer a ping now and then

    async def _decoded(self, stored: Stored) -> Message:
        message = decode(stored)
        if message.refers:
            return await patiently(lambda: whole(message, self._log.blobs), self._limits.retry_s)
        return message

    async def _make_parts(self) -> None:
        if not self._pending:
            return
        messages, self._pending = self._pending, []
        self._pending_rows = self._pending_bytes = 0
        try:
            self._parts += parts_of(messages)
        except Exception:  # noqa: BLE001 - whatever is in a message, it must not stop all the others
            _log.exception("a message cannot be made into columns; looking for it")
            await self._make_one_by_one(messages)

    async def _make_one_by_one(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                self._parts += parts_of([message])
            except Exception as error:  # noqa: BLE001 - see above
                reason = (
                    f"message {message.stored.sequence} cannot be made into columns: {type(error).__name__}: {error}"
                )
                await self._bury(message.stored, InvalidEvent(reason))

    async def _bury(self, stored: Stored, error: StigmergyError) -> None:
        await patiently(lambda: self._log.bury(stored, error), self._limits.retry_s)
