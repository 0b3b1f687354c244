"""From messages of the log to the rows they hold, as lean as can be: what no column needs is not decoded."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from events.blobs.port import BlobStore
from events.codec import check_place
from events.port import Stored
from projections.analytics.facts import read, shape_of
from schemas.envelope import NO_MISSION
from schemas.errors import InvalidEvent

MOST_DATA = 1024 * 1024
"""Payloads above so many bytes are not kept here whole; the log and the archive have them."""


class Row(msgspec.Struct, kw_only=True, gc=False):
    """The attributes of an event that become columns; see :class:`schemas.envelope.Event`."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: str
    tenant: str
    mission: str = NO_MISSION
    subject: str | None = ""
    dataversion: int = 1
    dataref: str | None = None
    causationid: str | None = ""
    correlationid: str | None = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message.

    Attributes:
        types: the types of its rows.
        size: bytes of what is in memory.
        cut: indexes of rows whose data was too large.
    """

    stored: Stored
    rows: list[Row]
    types: set[str]
    size: int
    cut: frozenset[int] = frozenset()

    @property
    def refers(self) -> bool:
        """Whether some of its payloads are at the blob store."""
        return [row.dataref for row in self.rows].count(None) != len(self.rows)


_one = msgspec.json.Decoder(Row)
_many = msgspec.json.Decoder(list[Row])


def decode(stored: Stored) -> Message:
    """The rows of a message. Raises :class:`InvalidEvent`, as :func:`events.codec.decode` does."""
    raw = stored.raw
    try:
        rows = _many.decode(raw) if raw[:1] == b"[" else [_one.decode(raw)]
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"message {stored.sequence} is no CloudEvent: {error}") from error
    return Message(stored, rows, check_place(rows, stored.subject, stored.sequence), len(raw))


async def whole(message: Message, blobs: BlobStore) -> Message:
    """The message with the payloads that were left at the blob store. Raises ``BlobMissing`` if one is not there."""
    cut: set[int] = set()
    size = message.size
    for number, row in enumerate(message.rows):
        if row.dataref is None:
            continue
        data = await blobs.get(row.dataref)
        if len(data) > MOST_DATA:
            cut.add(number)
            data = _essence(row.type, data)
        row.data = msgspec.Raw(data)
        size += len(data)
    return Message(message.stored, message.rows, message.types, size, frozenset(cut))


def _essence(type_name: str, data: bytes) -> bytes:
    """A payload with only the fields that columns are made of."""
    shape = shape_of(type_name)
    try:
        facts = shape.decoder.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        facts, _ = read(shape, data)
    return msgspec.json.encode(facts)
