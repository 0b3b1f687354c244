"""Putting an archive back on an empty log: the same events under the same sequences.

Sequences that held nothing readable are filled with messages that are deleted at once, so that every event gets its old
number and the archive can go on where it ended. Numbers are never changed; if somebody else writes in between, the
restoring stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from events.codec import subject_of
from events.port import Ack, Log, Write
from projections.archive.blobs import BlobCopies, put_back
from projections.archive.commits import manifest
from projections.archive.errors import ArchiveDamaged
from projections.archive.places import Place
from projections.archive.reader import ArchiveReader
from schemas.envelope import Event
from schemas.errors import Conflict, InvalidInput, Refused, StigmergyError
from schemas.events import parse

_AT_ONCE = 500
_AT_ONCE_BYTES = 16 * 1024 * 1024


class Gaps(Protocol):
    """Takes sequences of a log away, so that the next message gets a later one."""

    async def skip(self, first: int, last: int) -> None:
        """``first`` is the next sequence of the log. Raises :class:`Conflict` if it is not."""


@dataclass(frozen=True, slots=True)
class Restored:
    """``left_out``: sequences whose events a log of today would refuse, with the reason. ``blobs``: how many were put
    back."""

    events: int
    messages: int
    end: int
    left_out: tuple[tuple[int, str], ...]
    blobs: int


async def restore(place: Place, log: Log, gaps: Gaps) -> Restored:
    """Fill an empty log from an archive; no role may be running on it yet.

    Events keep their ids, frames stay frames, large payloads go to the blob store again. Blobs are there before any
    event that names them.

    Raises:
        Refused: the log is not empty, or the archive is.
        ArchiveDamaged: the archive has a gap, or a damaged file or blob.
        Conflict: somebody else writes to the log. Delete the stream and begin anew.
    """
    found = await asyncio.to_thread(manifest, place)
    await _check_both(place.name, found.end, found.beyond_gap, log)
    copies = BlobCopies(place)
    blobs, _ = await put_back(copies, log.blobs, await asyncio.to_thread(lambda: [one.digest for one in copies.all()]))
    task = _Restoring(log, gaps)
    messages = _messages(ArchiveReader(place).read())
    while chunk := await asyncio.to_thread(_chunk, messages):
        await task.put(chunk)
    await task.finish(found.end)
    if task.events + task.lost != sum(commit.events for commit in found.chain):
        raise ArchiveDamaged("the archive gave fewer events than its commits say", hint="stig archive verify")
    return Restored(task.events, task.messages, found.end, tuple(task.left_out), len(blobs))


async def _check_both(name: str, end: int, beyond_gap: int | None, log: Log) -> None:
    if not end:
        raise Refused(f"the archive {name} is empty", hint="is STIGMERGY_ARCHIVE_URL right?")
    if beyond_gap is not None:
        raise ArchiveDamaged(
            f"the archive has a gap from {end + 1} to {beyond_gap - 1}", hint="put the missing commit back"
        )
    if newest := await log.last_sequence():
        raise Refused(
            f"the log is not empty: it goes to {newest}", hint="restore into a new server, before any role is started"
        )


class _Restoring:
    def __init__(self, log: Log, gaps: Gaps) -> None:
        self._log, self._gaps = log, gaps
        self._at = 1
        self.events = self.messages = self.lost = 0
        self.left_out: list[tuple[int, str]] = []

    async def put(self, messages: list[tuple[Event, ...]]) -> None:
        run: list[Write] = []
        for events in messages:
            write = self._write(events)
            if write is None:
                continue
            if events[0].sequence != self._at + len(run):
                await self._send(run)
                run = []
                await self._skip_to(events[0].sequence)
            run.append(write)
        await self._send(run)

    async def finish(self, end: int) -> None:
        await self._skip_to(end + 1)

    def _write(self, events: tuple[Event, ...]) -> Write | None:
        write = Write(events, key=_key(events), id=f"restore:{events[0].sequence}")
        try:
            subject_of(write.events, write.key)
        except InvalidInput as error:
            self.left_out.append((events[0].sequence, error.message))
            self.lost += len(events)
            return None
        return write

    async def _send(self, run: list[Write]) -> None:
        for expected, (write, result) in enumerate(zip(run, await self._log.write(run), strict=True), self._at):
            if isinstance(result, StigmergyError):
                raise result
            _check_place(result, expected)
            self.events += len(write.events)
        self._at += len(run)
        self.messages += len(run)

    async def _skip_to(self, sequence: int) -> None:
        if sequence > self._at:
            await self._gaps.skip(self._at, sequence - 1)
            self._at = sequence


def _check_place(ack: Ack, expected: int) -> None:
    if ack.sequence != expected:
        raise Conflict(
            f"event {expected} of the archive became {ack.sequence} of the log: somebody else writes to it",
            hint="stop all roles, delete the stream EVENTS, and restore again",
        )


def _key(events: tuple[Event, ...]) -> str | None:
    """The last token of the subject, which the envelope does not hold: claims are found by it."""
    if len(events) > 1:
        return None
    try:
        return parse(events[0]).key()
    except InvalidInput:  # a type that this release does not know has no key
        return None


def _messages(events: Iterator[Event]) -> Iterator[tuple[Event, ...]]:
    for _, together in groupby(events, key=lambda event: event.sequence):
        yield tuple(together)


def _chunk(messages: Iterator[tuple[Event, ...]]) -> list[tuple[Event, ...]]:
    chunk: list[tuple[Event, ...]] = []
    size = 0
    for events in messages:
        chunk.append(events)
        size += sum(len(event.data) for event in events)
        if len(chunk) >= _AT_ONCE or size >= _AT_ONCE_BYTES:
            break
    return chunk
