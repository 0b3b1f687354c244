"""The :class:`~events.leadership.port.Keys` in a NATS key-value bucket.

A write is a message to ``$KV.LEADERS.<key>`` with the sequence that the key's last one must have; a key's revision is
that sequence. Watching is reading the stream, which keeps one message a key.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from events.jetstream.api import NOT_FOUND, ApiRefused, call, refusal, soon
from events.jetstream.consumers import Consumers
from events.jetstream.reader import Reader
from events.leadership.port import Entry, Put
from events.port import Window
from schemas.errors import Conflict, LogUnavailable, StigmergyError
from schemas.leaders import BUCKET

STREAM = f"KV_{BUCKET}"
_PREFIX = f"$KV.{BUCKET}."
_WITHIN_S = 1.0
_WRONG_LAST = {10071, 10164}
"""Wrong last sequence; another guarded write of the key is being agreed on in a cluster."""
_EXISTS = 10058
_BATCH = 512


class JetStreamKeys:
    """Keys in the bucket ``LEADERS``.

    Args:
        replicas: on how many servers of a cluster the bucket is kept.
    """

    def __init__(self, nc: Client, *, replicas: int = 1) -> None:
        self._nc = nc
        self._replicas = replicas

    async def open(self) -> None:
        config = {
            "name": STREAM,
            "subjects": [f"{_PREFIX}>"],
            "max_msgs_per_subject": 1,
            "allow_msg_ttl": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "discard": "new",
            "storage": "file",
            "num_replicas": self._replicas,
            "max_msg_size": 8192,
            "max_bytes": 64 * 1024 * 1024,
        }

        async def make(within_s: float) -> None:
            try:
                await call(self._nc, f"STREAM.CREATE.{STREAM}", config, timeout_s=within_s)
            except ApiRefused as error:
                if error.number != _EXISTS:  # it is there, with settings of an operator
                    raise

        await soon(self._nc, make)

    async def put(self, writes: Sequence[Put]) -> list[int | StigmergyError]:
        return list(await asyncio.gather(*(self._put(write) for write in writes)))

    async def _put(self, write: Put) -> int | StigmergyError:
        headers = {"Nats-Expected-Last-Subject-Sequence": str(write.last)}
        if write.ttl_s is not None:
            headers["Nats-TTL"] = f"{write.ttl_s}s"
        try:
            reply = await self._nc.request(_PREFIX + write.key, write.value, timeout=_WITHIN_S, headers=headers)
        except (NatsError, TimeoutError, OSError) as error:
            return LogUnavailable(f"{write.key} could not be written: {error or type(error).__name__}")
        answer = msgspec.json.decode(reply.data)
        if "error" not in answer:
            return int(answer["seq"])
        if answer["error"].get("err_code") in _WRONG_LAST:
            return Conflict(f"{write.key} was written by somebody else")
        return refusal(answer["error"])

    async def get(self, key: str) -> Entry | None:
        try:
            found = await call(
                self._nc, f"STREAM.MSG.GET.{STREAM}", {"last_by_subj": _PREFIX + key}, timeout_s=_WITHIN_S
            )
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                return None
            raise
        message = found["message"]
        return Entry(key, base64.b64decode(message.get("data", "")), int(message["seq"]))

    async def watch(self, group: str) -> AsyncIterator[list[Entry]]:
        window = Window((f"{_PREFIX}{group}.>",))
        async with Reader(self._nc, STREAM, window, _BATCH, patient=True) as reader:
            first: list[Entry] = []
            while reader.pending:
                first += [_entry(place.sequence, msg.subject, msg.data) for place, msg in await reader.next()]
            yield first
            while True:
                found = [_entry(place.sequence, msg.subject, msg.data) for place, msg in await reader.next()]
                if found:
                    yield found

    async def all(self) -> list[Entry]:
        """Every entry of the bucket; none if there is no bucket. Raises :class:`LogUnavailable`."""
        try:
            await Consumers(self._nc).newest(STREAM, f"{_PREFIX}>")
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                return []
            raise
        async with Reader(self._nc, STREAM, Window((f"{_PREFIX}>",)), _BATCH) as reader:
            found: list[Entry] = []
            while reader.pending:
                found += [_entry(place.sequence, msg.subject, msg.data) for place, msg in await reader.next()]
            return found


def _entry(sequence: int, subject: str, value: bytes) -> Entry:
    return Entry(subject.removeprefix(_PREFIX), value, sequence)
