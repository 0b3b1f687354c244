"""The archive as the older part of a replay: the port :class:`~events.replay.joined.History`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pyarrow.compute as pc

from events.port import Batch
from events.replay.slices import ANY, Slice
from projections.archive.columns import events_in
from projections.archive.places import Place
from projections.archive.reader import ArchiveReader
from projections.archive.rows import Rows

_AT_ONCE = 16_384


class ArchiveHistory:
    """What an archive holds of a slice; files and row groups that have none of it are not read."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def read(self, wanted: Slice, after: int) -> AsyncGenerator[Batch]:
        """Batches as the port has it. Raises as :class:`ArchiveReader`."""
        tables = ArchiveReader(self._place).tables(rows_of(wanted, after))
        # While the events of one table are made and worked with, the next one is read and unpacked beside.
        coming = asyncio.create_task(asyncio.to_thread(next, tables, None))
        try:
            while (found := await coming) is not None:
                table, last = found
                coming = asyncio.create_task(asyncio.to_thread(next, tables, None))
                for part, reached in _parts(table, last):
                    events = await asyncio.to_thread(events_in, part) if part.num_rows else []
                    yield Batch(tuple(events), reached)
        finally:
            await asyncio.wait({coming})  # a thread cannot be cancelled; it must not read on behind us
            if not coming.cancelled():
                coming.exception()

    async def count(self, wanted: Slice, after: int) -> tuple[int, int]:
        """How many events of the slice it holds behind a sequence, and how far it goes: no event is made for it."""
        return await asyncio.to_thread(self._count, wanted, after)

    def _count(self, wanted: Slice, after: int) -> tuple[int, int]:
        counted, reached = 0, after
        for table, last in ArchiveReader(self._place).tables(rows_of(wanted, after), ("sequence",)):
            counted, reached = counted + table.num_rows, last
        return counted, reached

    async def missions(self, tenant: str, beginning: str) -> list[str]:
        """Ids of archived missions that begin so, oldest first."""
        return await asyncio.to_thread(self._missions, tenant, beginning)

    def _missions(self, tenant: str, beginning: str) -> list[str]:
        found: dict[str, None] = {}
        wanted = Rows(tenant=tenant, types=("mission.submitted",))
        for table, _ in ArchiveReader(self._place).tables(wanted, ("mission",)):
            fitting = table["mission"].filter(pc.starts_with(table["mission"], beginning))
            found.update(dict.fromkeys(fitting.to_pylist()))
        return list(found)


def rows_of(wanted: Slice, after: int = 0) -> Rows:
    """The rows that a slice may be in: what columns cannot tell is left for the slice itself to choose."""
    types = wanted.types or None
    if types is None and wanted.noun != ANY:
        types = (f"{wanted.noun}.{wanted.verb}",)  # ``task.*`` is spelt alike on both sides
    return Rows(
        first=after + 1,
        tenant=wanted.tenant,
        mission=None if wanted.mission == ANY else wanted.mission,
        types=types,
        verb=None if wanted.verb == ANY else wanted.verb,
        since=wanted.since,
        until=wanted.until,
    )


def _parts(table: Any, last: int) -> Iterator[tuple[Any, int]]:
    """A table in pieces, cut between messages; the last piece reaches as far as the table does."""
    begin, rows = 0, table.num_rows
    while rows - begin > _AT_ONCE:
        end = begin + _AT_ONCE
        cut = table["sequence"][end].as_py()
        while end > begin and table["sequence"][end - 1].as_py() == cut:
            end -= 1
        if end == begin:  # one message with more events than a piece: frames never have so many
            break
        yield table.slice(begin, end - begin), cut - 1
        begin = end
    yield table.slice(begin), last
