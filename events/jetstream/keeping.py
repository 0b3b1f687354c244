"""What the stream of events holds, who still needs it, and dropping its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client

from events.jetstream.api import call
from schemas.subjects import EVENTS


@dataclass(frozen=True, slots=True)
class StreamSize:
    """``first`` and ``last`` sequence, ``messages`` and ``bytes`` there are; ``newest``: when the last one came, by the
    server's clock. ``first`` is ``last`` + 1 in an empty stream."""

    first: int
    last: int
    messages: int
    bytes: int
    newest: datetime


class EventsStream:
    """The stream as whoever keeps it small sees it. All methods raise :class:`~schemas.errors.LogUnavailable`."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def size(self) -> StreamSize:
        state = (await call(self._nc, f"STREAM.INFO.{EVENTS}"))["state"]
        messages, last = int(state["messages"]), int(state["last_seq"])
        first = int(state["first_seq"]) if messages else last + 1
        return StreamSize(first, last, messages, int(state["bytes"]), datetime.fromisoformat(state["last_ts"]))

    async def needed_by_consumers(self) -> dict[str, int]:
        """Durable consumers that have messages to come or to settle, and the first sequence that each still needs."""
        needed: dict[str, int] = {}
        offset = 0
        while True:
            answer = await call(self._nc, f"CONSUMER.LIST.{EVENTS}", {"offset": offset})
            found = answer.get("consumers") or []
            for one in found:
                busy = one["num_pending"] or one["num_ack_pending"]
                if one["config"].get("durable_name") and busy:
                    needed[one["name"]] = int(one["ack_floor"]["stream_seq"]) + 1
            offset += len(found)
            if not found or offset >= answer.get("total", 0):
                return needed

    async def drop_before(self, sequence: int) -> int:
        """Drop everything below a sequence, for ever; how many messages that were."""
        answer = await call(self._nc, f"STREAM.PURGE.{EVENTS}", {"seq": sequence}, timeout_s=60.0)
        return int(answer["purged"])
