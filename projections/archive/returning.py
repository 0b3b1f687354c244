"""Giving the blob store back what a mission needs that goes on from archived events."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from events.port import Log
from events.replay import EventSource
from projections.archive.blobs import BlobCopies, digests_in, put_back
from schemas.envelope import Event

_log = logging.getLogger(__name__)


class Returning:
    """The events of a source; when all have been read, the blobs that they name are there again.

    Where the log has all of these events itself, nothing was collected that they name, and nothing is looked for.
    """

    def __init__(self, source: EventSource, copies: BlobCopies, log: Log) -> None:
        self._source, self._copies, self._log = source, copies, log

    async def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        """As those of the source.

        Raises:
            ArchiveDamaged: the copy of a blob is not what was kept.
        """
        named: set[str] = set()
        first = 0
        async with aclosing(self._source.events(follow=follow, after=after)) as events:
            async for event in events:
                first = first or event.sequence
                named |= digests_in(event.data)
                yield event
        if named and first < (await self._log.oldest())[0]:
            done, nowhere = await put_back(self._copies, self._log.blobs, sorted(named))
            if done:
                _log.info("%d blobs of archived events were put back", len(done))
            if nowhere:  # or they are no blobs, but look like some
                _log.warning("%d blobs that archived events name are nowhere, such as %s", len(nowhere), nowhere[0])
