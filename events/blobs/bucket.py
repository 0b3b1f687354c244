"""The blobs' bucket as whoever copies and collects them sees it: in the order in which they were put, and one by one.

A blob is a message under ``$O.BLOBS.M.<name>``, which says under which subject its pieces are; both are in one stream
(https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-20.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client

from events.blobs.jetstream import BUCKET, STREAM, subject_of
from events.jetstream.api import NOT_FOUND, ApiRefused, call
from events.jetstream.messages import messages, next_message
from events.jetstream.subjects import subjects_in

_NAMED = f"$O.{BUCKET}.M.>"


@dataclass(frozen=True, slots=True)
class KeptBlob:
    """One blob of the bucket.

    Attributes:
        digest: ``sha256:<hex>``.
        size: bytes.
        sequence: of the message that names it; it grows with every time that it is put.
        put: when that was, by the server's clock.
        pieces: the subject of its content.
    """

    digest: str
    size: int
    sequence: int
    put: datetime
    pieces: str


class _Named(msgspec.Struct):
    name: str
    nuid: str = ""
    size: int = 0
    deleted: bool = False


class BlobBucket:
    """All methods raise :class:`~schemas.errors.LogUnavailable`."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def made(self) -> str:
        """When the stream was created, as its server says it: another one is another bucket. Empty if there is none."""
        try:
            return str((await call(self._nc, f"STREAM.INFO.{STREAM}"))["created"])
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                return ""
            raise

    async def blobs(self, after: int = 0) -> AsyncIterator[KeptBlob]:
        """Those that were put behind a sequence, in this order."""
        async for message in messages(self._nc, STREAM, after, _NAMED):
            named = msgspec.json.decode(message.data, type=_Named)
            if not named.deleted:
                pieces = f"$O.{BUCKET}.C.{named.nuid}"
                yield KeptBlob(f"sha256:{named.name}", named.size, message.sequence, message.time, pieces)

    async def remove(self, blob: KeptBlob) -> bool:
        """Remove it, unless it has been put again meanwhile: False then.

        The name goes first, so that nobody finds a blob whose pieces are going; and only the name that was looked at.
        """
        if not await self._purge({"filter": subject_of(blob.digest), "seq": blob.sequence + 1}):
            return False
        await self.clear(blob.pieces)
        return True

    async def leftovers(self, put_before: datetime, pieces: Set[str]) -> list[str]:
        """Subjects of pieces that are none of ``pieces``, and were put before a time: of blobs that were never named,
        or were named by another who put the same."""
        left: list[str] = []
        if not await self.made():
            return left
        async for subject, _ in subjects_in(self._nc, STREAM, f"$O.{BUCKET}.C.*"):
            if subject not in pieces:
                first = await next_message(self._nc, STREAM, 1, subject)
                if first is not None and first.time < put_before:
                    left.append(subject)
        return left

    async def clear(self, subject: str) -> int:
        """Remove the pieces of a subject; how many those were."""
        return await self._purge({"filter": subject})

    async def _purge(self, which: dict[str, Any]) -> int:
        return int((await call(self._nc, f"STREAM.PURGE.{STREAM}", which, timeout_s=60.0))["purged"])
