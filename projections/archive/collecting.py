"""Collecting blobs: what is old, copied and named by nothing that the server still keeps, may go.

A blob is needed by whatever names it: events on the stream, commands and dead letters that wait, payloads that are
blobs themselves. What only archived events name goes; the archive has it, and a fork gets it back from there. See
``docs/decisions/0046-blobs-are-archived-and-collected.md``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from events.blobs.port import BlobCorrupt, BlobMissing, BlobStore
from projections.archive.blobs import BlobCopies, digests_in
from projections.archive.mirroring import Bucket
from projections.archive.places import Place
from schemas.errors import StigmergyError

_log = logging.getLogger(__name__)
YOUNGEST = timedelta(days=1)
"""What was put more recently stays, whatever the settings say: what names it may be on its way. Who puts a blob that is
there renews it when it is half as old."""
_REFERENCE = re.compile(rb'"(?:dataref|digest)"\s*:\s*"(sha256:[0-9a-f]{64})"')
"""A payload, or a sheet of a peer's question: JSON, in which others may be named. Packs are named otherwise."""


@dataclass
class Collection:
    """What a round came to.

    Attributes:
        blobs: in the store; ``bytes`` of them.
        old: older than the policy wants; ``needed`` of them are named; ``uncopied`` have no sound copy.
        removed: how many went; ``freed`` bytes.
        leftovers: pieces without a name, a day old, that went as well: of blobs that two put at once, or one put half.
    """

    blobs: int = 0
    bytes: int = 0
    old: int = 0
    needed: int = 0
    uncopied: int = 0
    removed: int = 0
    freed: int = 0
    leftovers: int = 0


@dataclass
class _Names:
    """Digests that are named, as far as they are among those that are looked for."""

    wanted: set[str]
    found: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)

    def look(self, raw: bytes) -> None:
        self.found |= digests_in(raw) & self.wanted
        self.references |= {one.decode() for one in _REFERENCE.findall(raw)}


class Collector:
    """Carries the policy out, once a day.

    Args:
        max_age: what was put longer ago may go; a day at least.
        kept: the bytes of every message that the server keeps, of those streams whose messages may name blobs.
        now: the time by the clock of the server, which dates blobs.
    """

    def __init__(
        self,
        bucket: Bucket,
        blobs: BlobStore,
        place: Place,
        max_age: timedelta,
        kept: Callable[[], AsyncGenerator[bytes]],
        now: Callable[[], Awaitable[datetime]],
    ) -> None:
        self._bucket, self._blobs = bucket, blobs
        self._max_age = max(max_age, YOUNGEST)
        self._kept, self._now = kept, now
        self._copies = BlobCopies(place)
        self.trouble = ""

    async def run(self, first_s: float = 600.0, every_s: float = 86_400.0) -> None:
        """For ever; what fails is told and tried again the next day."""
        pause = first_s
        while True:
            await asyncio.sleep(pause)
            pause = every_s
            try:
                await self.once()
                self.trouble = ""
            except StigmergyError as error:
                self.trouble = f"blobs are not collected: {error.message}"
                _log.error("blobs are not collected: %s (%s)", error.message, error.hint)

    async def once(self) -> Collection:
        """Remove what may go.

        Raises:
            LogUnavailable, ArchiveUnavailable: what went until then is gone.
        """
        found = await self._round(doing=True)
        if found.removed or found.leftovers:
            said = "removed %d blobs of %d bytes, which the archive has, and %d leftovers"
            _log.info(said, found.removed, found.freed, found.leftovers)
        return found

    async def look(self) -> Collection:
        """What :meth:`once` would do, without doing it."""
        return await self._round(doing=False)

    async def _round(self, *, doing: bool) -> Collection:
        now = await self._now()
        there = [blob async for blob in self._bucket.blobs()]
        old = {blob.digest: blob for blob in there if blob.put < now - self._max_age}
        named = await self._named(set(old)) if old else set()
        found = Collection(len(there), sum(blob.size for blob in there), len(old), len(named))
        for digest in old.keys() - named:
            if not await self._is_copied(digest):
                found.uncopied += 1
            elif not doing or await self._bucket.remove(old[digest]):
                found.removed += 1
                found.freed += old[digest].size
        left = await self._bucket.leftovers(now - YOUNGEST, {blob.pieces for blob in there})
        found.leftovers = len(left)
        for subject in left if doing else ():
            await self._bucket.clear(subject)
        return found

    async def _named(self, wanted: set[str]) -> set[str]:
        names = _Names(wanted)
        async with aclosing(self._kept()) as messages:
            async for raw in messages:
                names.look(raw)
        seen: set[str] = set()
        while further := names.references - seen:
            seen |= further
            for digest in further:
                try:
                    names.look(await self._blobs.get(digest))
                except BlobMissing:  # what is not there names nothing
                    continue
        return names.found

    async def _is_copied(self, digest: str) -> bool:
        """Read whole, for this is the last moment to notice that a copy is missing or damaged."""
        try:
            await asyncio.to_thread(self._copies.read, digest)
        except BlobCorrupt as error:
            _log.error("%s; it is copied again, and kept until the next time", error.message)
            await asyncio.to_thread(self._copies.keep, digest, await self._blobs.get(digest))
            return False
        except BlobMissing:
            return False
        return True
