"""Copying blobs into the archive as they come. Events of the log are archived beside it, by the writer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Set
from datetime import datetime
from typing import Protocol

import msgspec

from events.blobs.bucket import KeptBlob
from events.blobs.port import BlobMissing, BlobStore
from projections.archive.blobs import BlobCopies
from projections.archive.places import Place
from schemas.errors import StigmergyError

_log = logging.getLogger(__name__)
MARK = "mirrored.json"
"""In the archive: up to where the bucket has been copied."""


class Bucket(Protocol):
    """As :class:`events.blobs.bucket.BlobBucket`."""

    async def made(self) -> str: ...
    def blobs(self, after: int = 0) -> AsyncIterator[KeptBlob]: ...
    async def remove(self, blob: KeptBlob) -> bool: ...
    async def leftovers(self, put_before: datetime, pieces: Set[str]) -> list[str]: ...
    async def clear(self, subject: str) -> int: ...


class Mark(msgspec.Struct, frozen=True):
    """``made``: which bucket. All that it had up to ``sequence`` is copied."""

    made: str = ""
    sequence: int = 0


class Mirror:
    """Copies what is put into the bucket, and remembers how far it is; a blob that comes again is not copied again.

    Attributes:
        trouble: why it cannot go on at present; empty if it can.
    """

    def __init__(self, bucket: Bucket, blobs: BlobStore, place: Place, *, every_s: float = 60.0) -> None:
        self._bucket, self._blobs, self._place, self._every_s = bucket, blobs, place, every_s
        self._copies = BlobCopies(place)
        self.trouble = ""

    async def run(self) -> None:
        """For ever; what fails is told and tried again."""
        while True:
            try:
                await self.once()
                self.trouble = ""
            except StigmergyError as error:
                if error.message != self.trouble:
                    _log.error("blobs are not archived: %s (%s)", error.message, error.hint)
                self.trouble = error.message
            await asyncio.sleep(self._every_s)

    async def once(self) -> int:
        """Copy what is new; returns how many blobs that were.

        Raises:
            LogUnavailable, ArchiveUnavailable, DiskFull: what was copied until then counts.
        """
        made = await self._bucket.made()
        if not made:
            return 0
        begin = await asyncio.to_thread(mark, self._place)
        if begin.made != made:  # a new server, or one that was restored: all are looked at again
            begin = Mark(made)
        at, copied = begin.sequence, 0
        try:
            async for blob in self._bucket.blobs(at):
                copied += await self._copy(blob)
                at = blob.sequence
        finally:
            if at > begin.sequence:
                await asyncio.to_thread(self._place.write, MARK, msgspec.json.encode(Mark(made, at)))
        return copied

    async def _copy(self, blob: KeptBlob) -> bool:
        if await asyncio.to_thread(self._copies.has, blob.digest):
            return False
        try:
            content = await self._blobs.get(blob.digest)
        except BlobMissing as error:  # removed in this moment, or damaged: nobody can have it any more
            _log.error("%s is not archived: %s", blob.digest, error.message)
            return False
        await asyncio.to_thread(self._copies.keep, blob.digest, content)
        return True


def mark(place: Place) -> Mark:
    """How far the mirror of an archive is."""
    try:
        return msgspec.json.decode(place.read(MARK), type=Mark)
    except FileNotFoundError:
        return Mark()
