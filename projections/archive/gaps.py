"""Skipping sequences of a JetStream stream while an archive is put back."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from events.jetstream.api import call
from events.jetstream.publisher import Message, Publisher
from schemas.errors import Conflict, StigmergyError
from schemas.subjects import EVENTS

_AT_ONCE = 500
_FILLER = "events._._.gap._"


class JetStreamGaps:
    """Publishes messages and deletes them: JetStream never gives a sequence twice. Before the first event of all the
    stream is told to begin later, however long the gap is."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def skip(self, first: int, last: int) -> None:
        if first == 1:
            await call(self._nc, f"STREAM.PURGE.{EVENTS}", {"seq": last + 1})
            return
        publisher = Publisher(self._nc)
        await publisher.open()
        try:
            for begin in range(first, last + 1, _AT_ONCE):
                await self._fill(publisher, range(begin, min(begin + _AT_ONCE, last + 1)))
        finally:
            publisher.close()

    async def _fill(self, publisher: Publisher, sequences: range) -> None:
        stored = await publisher.store([Message(_FILLER, b"", f"restore:{number}") for number in sequences])
        for number, result in zip(sequences, stored, strict=True):
            if isinstance(result, StigmergyError):
                raise result
            if result.sequence != number:
                raise Conflict(
                    f"message {number} became {result.sequence}: somebody else writes to the log",
                    hint="stop all roles, delete the stream EVENTS, and restore again",
                )
        deleting = (call(self._nc, f"STREAM.MSG.DELETE.{EVENTS}", {"seq": n, "no_erase": True}) for n in sequences)
        await asyncio.gather(*deleting)
