"""Messages of a stream one at a time, by a request each: for streams of which few are wanted, without a consumer."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client

from events.jetstream.api import NOT_FOUND, ApiRefused, call


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as a stream keeps it; ``time``: when it came, by the server's clock."""

    sequence: int
    subject: str
    data: bytes
    time: datetime


async def messages(nc: Client, stream: str, after: int = 0, subjects: str = ">") -> AsyncIterator[RawMessage]:
    """Those behind a sequence that are there now, in their order. Raises as :func:`next_message`."""
    while (message := await next_message(nc, stream, after + 1, subjects)) is not None:
        yield message
        after = message.sequence


async def next_message(nc: Client, stream: str, sequence: int, subjects: str = ">") -> RawMessage | None:
    """The first message at or behind a sequence; None if there is none, or no such stream.

    Raises:
        LogUnavailable: the server does not answer, or refuses.
    """
    request = {"seq": sequence, "next_by_subj": subjects}
    try:
        found = (await call(nc, f"STREAM.MSG.GET.{stream}", request))["message"]
    except ApiRefused as error:
        if error.number in NOT_FOUND:
            return None
        raise
    data = base64.b64decode(found.get("data", ""))
    return RawMessage(int(found["seq"]), found["subject"], data, datetime.fromisoformat(found["time"]))
