"""From messages of the log to the rows they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from events.blobs.port import BlobStore
from events.codec import unstamped
from events.port import Stored
from projections.facts import read, shape_of
from projections.frames import Frame, frame_of
from schemas.envelope import Event

MOST_DATA = 1024 * 1024
"""Payloads above so many bytes are not kept here whole; the log and the archive have them."""


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message.

    Attributes:
        events: none where there is a frame, until somebody asks for its rows.
        types: the types of its rows.
        many: how many rows it has.
        size: bytes of what is in memory.
        cut: indexes of rows whose data was too large.
        frame: its columns, where it has some.
    """

    stored: Stored
    events: Sequence[Event]
    types: frozenset[str]
    many: int
    size: int
    cut: frozenset[int] = frozenset()
    frame: Frame | None = None

    @property
    def rows(self) -> Sequence[Event]:
        """Its events, not stamped."""
        return self.events if self.frame is None else unstamped(self.stored)[0]

    @property
    def refers(self) -> bool:
        """Whether some of its payloads are at the blob store."""
        return self.frame is None and [row.dataref for row in self.events].count(None) != self.many


def decode(stored: Stored) -> Message:
    """The rows of a message. Raises :class:`InvalidEvent`, as :func:`events.codec.decode` does."""
    frame, size = frame_of(stored), len(stored.raw)
    if frame is not None:
        return Message(stored, (), frozenset((frame.type,)), frame.many, size, frame=frame)
    rows, types = unstamped(stored)
    return Message(stored, rows, types, len(rows), size)


async def whole(message: Message, blobs: BlobStore) -> Message:
    """The message with the payloads that were left at the blob store. Raises ``BlobMissing`` if one is not there."""
    cut: set[int] = set()
    rows, size = list(message.rows), message.size
    for number, row in enumerate(rows):
        if row.dataref is None:
            continue
        data = await blobs.get(row.dataref)
        if len(data) > MOST_DATA:
            cut.add(number)
            data = _essence(row.type, data)
        rows[number] = msgspec.structs.replace(row, data=msgspec.Raw(data))
        size += len(data)
    return Message(message.stored, rows, message.types, len(rows), size, frozenset(cut))


def _essence(type_name: str, data: bytes) -> bytes:
    """A payload with only the fields that columns are made of."""
    shape = shape_of(type_name)
    try:
        facts = shape.decoder.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        facts, _ = read(shape, data)
    return msgspec.json.encode(facts)
