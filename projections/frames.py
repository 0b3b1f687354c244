"""A large frame as columns, made once for all read models of a process.

A frame has hundreds of events of one mission and, nearly always, of one type, in our own form. Then a column is made of
all of them at once, and what is the same in all is one value. Whatever is not so (a mixed frame, a time in another
form, a payload that is no UTF-8 or lies elsewhere) has no columns here: who wants them goes event by event.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from events.codec import unstamped
from events.port import Stored
from schemas.envelope import Event

LEAST = 64
"""Messages with fewer events are not worth columns of their own."""
TIME = pa.timestamp("us", tz="UTC")
_LARGEST_VERSION = 65_535


@dataclass(frozen=True, slots=True)
class Frame:
    """The columns of one message.

    Attributes:
        many: how many events it has.
        columns: ``id``, ``source``, ``subject``, ``causationid``, ``correlationid``, ``traceparent`` and ``data`` as
            text, null where there is none; ``time`` as :data:`TIME`.
    """

    type: str
    tenant: str
    mission: str
    many: int
    dataversion: int
    columns: dict[str, Any]


def frame_of(stored: Stored) -> Frame | None:
    """The columns of a message; None if it is none of those that have some.

    Raises:
        InvalidEvent: it is no message of ours, as :func:`events.codec.decode` says.
    """
    if "frame" not in stored.notes:
        events, types = unstamped(stored)
        stored.notes["frame"] = _made(events) if len(events) >= LEAST and len(types) == 1 else None
    found: Frame | None = stored.notes["frame"]
    return found


def _made(events: Sequence[Event]) -> Frame | None:
    first = events[0]
    if not 0 <= first.dataversion <= _LARGEST_VERSION:
        return None
    kind, version = first.datacontenttype, first.dataversion
    for event in events:
        if event.dataref is not None or event.datacontenttype != kind or event.dataversion != version:
            return None
    times, data = times_of([event.time for event in events]), texts_of([event.data for event in events])
    if kind != "application/json" or times is None or data is None:
        return None
    columns = {
        "id": _ids([event.id for event in events]),
        "source": repeated([event.source for event in events]),
        "subject": repeated([event.subject for event in events]),
        "causationid": repeated([event.causationid for event in events]),
        "correlationid": repeated([event.correlationid for event in events]),
        "traceparent": repeated([event.traceparent for event in events]),
        "time": times,
        "data": data,
    }
    return Frame(first.type, first.tenant, first.mission, len(events), version, columns)


def repeated(values: Sequence[str | None]) -> Any:
    """A column of texts that are often all the same, or all absent."""
    if values[0] == values[-1] and values.count(values[0]) == len(values):
        return constant(values[0], len(values))
    return pa.array(values, pa.string())


@lru_cache(maxsize=256)
def constant(value: str | None, many: int) -> Any:
    """A column of one text, so many times."""
    return pa.repeat(pa.scalar(value, pa.string()), many)


@lru_cache(maxsize=64)
def counted(many: int) -> Any:
    """0, 1, 2 …: the places of the events of a frame, as 32 bits."""
    return pa.Array.from_buffers(pa.int32(), many, [None, pa.py_buffer(array("i", range(many)))])


def times_of(texts: Sequence[str]) -> Any:
    """A column of :data:`TIME`; None unless all are written as :func:`schemas.envelope.rfc3339` writes them."""
    # ``2026-01-31T12:00:00.000000Z``: what Arrow can read has no other form of this length that ends so.
    joined, many = "".join(texts), len(texts)
    if joined[10::27] != "T" * many or joined[26::27] != "Z" * many:
        return None
    column = _of_one_length(texts, joined, 27)
    try:
        return None if column is None else column.cast(TIME)
    except pa.ArrowInvalid:
        return None


def texts_of(payloads: Sequence[Any]) -> Any:
    """A column of texts without a copy of each: joined once. None if they are no UTF-8, or more than 2 GiB."""
    joined = b"".join(payloads)
    if len(joined) >= 2**31:
        return None
    ends = pc.cumulative_sum(pa.array([0, *map(len, payloads)], pa.int32()))
    buffers = [None, ends.buffers()[1], pa.py_buffer(joined)]
    if joined.isascii():
        return pa.Array.from_buffers(pa.string(), len(payloads), buffers)
    try:
        return pa.Array.from_buffers(pa.binary(), len(payloads), buffers).cast(pa.string())
    except pa.ArrowInvalid:
        return None


def _ids(values: Sequence[str]) -> Any:
    made = _of_one_length(values, "".join(values), 36)
    return pa.array(values, pa.string()) if made is None else made


def _of_one_length(texts: Sequence[str], joined: str, length: int) -> Any:
    """A column of texts that all have so many characters of ASCII, as times and ids have; else None."""
    if not joined.isascii() or set(map(len, texts)) != {length}:
        return None
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, _ends(len(texts), length), pa.py_buffer(joined.encode())]
    )


@lru_cache(maxsize=64)
def _ends(many: int, length: int) -> Any:
    return pa.py_buffer(array("i", range(0, (many + 1) * length, length)))
