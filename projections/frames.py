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

from events.codec import check_place
from events.port import Stored
from projections.cutting import VARYING, Cut, cut

LEAST = 64
"""Messages with fewer events are not worth columns of their own."""
TIME = pa.timestamp("us", tz="UTC")
_WRITTEN = 27
"""Characters of a time as we write it."""
_LARGEST_VERSION = 65_535
_LEAST_BYTES = LEAST * 150
"""No event takes less."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The columns of one message.

    Attributes:
        many: how many events it has.
        columns: ``id``, ``source``, ``subject``, ``causationid``, ``correlationid``, ``traceparent`` and ``data`` as
            text, null where there is none; ``time`` as :data:`TIME`.
        facts: the columns of :data:`projections.facts.DEFAULTS`, for whoever wants them.
    """

    type: str
    tenant: str
    mission: str
    many: int
    dataversion: int
    columns: dict[str, Any]
    facts: dict[str, Any]


def frame_of(stored: Stored) -> Frame | None:
    """The columns of a message; None if it is none of those that have some.

    Raises:
        InvalidEvent: its events belong elsewhere, as :func:`events.codec.decode` says.
    """
    if "frame" not in stored.notes:
        made = cut(stored.raw) if len(stored.raw) >= _LEAST_BYTES else None
        stored.notes["frame"] = None if made is None else _made(made, stored)
    found: Frame | None = stored.notes["frame"]
    return found


def _made(made: Cut, stored: Stored) -> Frame | None:
    first, many, cuts = made.first, made.many, made.columns
    odd = first.dataref is not None or first.datacontenttype != "application/json"
    if odd or many < LEAST or not 0 <= first.dataversion <= _LARGEST_VERSION:
        return None
    check_place([first], stored.subject, stored.sequence)  # all say the same
    columns = {name: cuts[name] if name in cuts else constant(getattr(first, name), many) for name in VARYING}
    columns["data"] = cuts["data"]
    return Frame(first.type, first.tenant, first.mission, many, first.dataversion, columns, made.facts)


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
    joined, many = "".join(texts), len(texts)
    # ``2026-01-31T12:00:00.000000Z``: what Arrow can read has no other form of this length that ends so.
    same_length = set(map(len, texts)) == {_WRITTEN}
    if not same_length or joined[10::_WRITTEN] != "T" * many or joined[26::_WRITTEN] != "Z" * many:
        return None
    try:
        return pa.array(texts, pa.string()).cast(TIME)
    except pa.ArrowInvalid:
        return None
