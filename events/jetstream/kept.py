"""Everything that the server keeps of what may name blobs: events, commands that wait, dead letters."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from nats.aio.client import Client

from events.jetstream.messages import messages
from events.jetstream.packing import unpacked
from events.jetstream.reader import Reader
from events.port import Window
from schemas.subjects import COMMANDS, DEAD_LETTERS, EVENTS


async def kept_messages(nc: Client) -> AsyncGenerator[bytes]:
    """What every message says that is there now, one by one.

    Raises:
        LogUnavailable: the server does not answer, or does not let us.
    """
    for stream in (COMMANDS, DEAD_LETTERS):  # a work queue has one consumer, which is not ours
        async for message in messages(nc, stream):
            yield unpacked(message.data)
    async with Reader(nc, EVENTS, Window(), 1000) as reader:
        while reader.pending:
            for _, event in await reader.next():
                yield unpacked(event.data)
