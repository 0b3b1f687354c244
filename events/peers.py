"""Messages between workers on core NATS: one of many takes each, and whoever sent it hears if nobody is there."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

_NO_RESPONDERS = "503"

type Hear = Callable[[str, bytes | None, str], None]
"""Called with the subject, the payload and where an answer is wanted. The payload is None where the server says that
nobody listens to what was sent with this subject for its answers."""


class NatsWire:
    """Sends and hears messages over one connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def send(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send; with ``reply``, the server says there if nobody listens."""
        await self._nc.publish(subject, payload, reply=reply)

    async def listen(self, pattern: str, hear: Hear, queue: str = "") -> None:
        """Hear what matches, until the connection is closed; each message goes to one listener of the same queue."""

        async def take(msg: Msg) -> None:
            nobody = (msg.headers or {}).get("Status") == _NO_RESPONDERS
            hear(msg.subject, None if nobody else msg.data, msg.reply)

        await self._nc.subscribe(pattern, queue=queue, cb=take)
