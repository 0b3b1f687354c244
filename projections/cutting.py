"""A frame in our own form, cut into columns without its events being made: in half of the time.

What the events of a frame share is the same bytes in each: names, commas, the type, the mission. The first event,
written again with marks where events differ, says which bytes those are, and what lies between them is a column.

That this is what a parser would have found follows from three things, each of which is looked at: (1) shared bytes and
pieces are, in their order, the whole frame; (2) no text among the pieces has a quote, a backslash or a control
character in it, so that it ends where it was cut; (3) each payload is one JSON value: written one after another with a
number between that nobody can guess, they are read as values with that number between. A frame of which one of these is
not so is not cut.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from projections.facts import Shape, shape_of
from schemas.envelope import Event

VARYING = ("id", "source", "time", "subject", "causationid", "correlationid", "traceparent")
"""What may differ between the events of a frame that is cut, beside the payload; in the order in which it stands."""
_OF_ONE_LENGTH = ("id", "time")
"""What differs between any two events, and is equally long in all."""
_NEXT = b'},{"specversion":"1.0","id":"'
_MARK = "\0"
_MARKED = b"\\u0000"
_BETWEEN = secrets.randbits(62)
_SPACE = 0x20
_Places = np.ndarray[tuple[int], np.dtype[np.int32]]


_one = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()
_with = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Cut:
    """The columns of a frame.

    Attributes:
        first: its first event; what has no column is in all events as in this one.
        many: how many events it has.
        columns: of those of :data:`VARYING` that differ, and of ``data``, as text.
        facts: the columns of :data:`projections.facts.DEFAULTS`.
    """

    first: Event
    many: int
    columns: dict[str, Any]
    facts: dict[str, Any]


def cut(raw: bytes) -> Cut | None:
    """The columns of a frame.

    None if it is not in our form, has fewer than two events, or a payload whose facts do not fit.
    """
    ends, begins = raw.find(_NEXT), raw.rfind(_NEXT)
    try:
        first, last = _one.decode(raw[1 : ends + 1]), _one.decode(raw[begins + 2 : -1])
    except (msgspec.DecodeError, UnicodeDecodeError):  # a ValidationError is a DecodeError
        return None
    present = [name for name in VARYING if getattr(first, name) is not None]
    differing = [name for name in present if name in _OF_ONE_LENGTH or getattr(first, name) != getattr(last, name)]
    # The first and the last may be alike by chance.
    return _cut(raw, first, differing) or (_cut(raw, first, present) if differing != present else None)


def _cut(raw: bytes, first: Event, names: Sequence[str]) -> Cut | None:
    marked = _with(first, data=msgspec.Raw(_MARKED), **dict.fromkeys(names, _MARK))
    head, *shared, tail = _encoder.encode(marked).split(_MARKED)
    if len(shared) != len(names) or tail != b"}" or not raw.startswith(b"[" + head) or not raw.endswith(b"}]"):
        return None
    at, ends = _events(raw, 1 + len(head), b"}," + head)
    found: dict[str, Any] = {}
    for name, behind in zip(names, shared, strict=True):
        length = len(getattr(first, name)) if name in _OF_ONE_LENGTH else None
        stop = _quotes(raw, at, ends) if length is None else at + length
        if stop is None or not _stands(raw, stop, ends, behind):
            return None
        found[name] = _between(raw, at, stop) if length is None else _of_length(raw, at, length)
        at = stop + len(behind)
    data = _between(raw, at, ends)
    facts = _facts(shape_of(first.type), data)
    if facts is None or not all(map(_is_plain, found.values())):
        return None
    columns = _as_text({**found, "data": data}, raw.isascii())
    return None if columns is None else Cut(first, len(at), columns, facts)


def _events(raw: bytes, begin: int, between: bytes) -> tuple[_Places, _Places]:
    """Where each event begins, behind what all begin with, and where its payload ends."""
    inside = pa.py_buffer(array("i", (begin, len(raw) - 2)))
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, inside, pa.py_buffer(raw)])
    pieces = pc.split_pattern(whole, between).values
    offsets = np.frombuffer(pieces.buffers()[1], np.int32, len(pieces) + 1)
    before = np.arange(len(pieces), dtype=np.int32) * len(between) + begin
    return offsets[:-1] + before, offsets[1:] + before


def _quotes(raw: bytes, at: _Places, ends: _Places) -> _Places | None:
    """The first quote from each of these places on; None if an event has none."""
    found = np.asarray(pc.find_substring(_pieces(raw, at, ends), b'"'))[::2]
    return None if found.min() < 0 else at + found


def _stands(raw: bytes, at: _Places, ends: _Places, text: bytes) -> bool:
    """Whether this text stands at each of these places, before the end of the event."""
    if (at + len(text) > ends).any():
        return False
    return bool(_windows(raw, at, len(text)).tobytes() == text * len(at))


def _windows(raw: bytes, at: _Places, length: int) -> np.ndarray[Any, Any]:
    """So many bytes from each of these places on, one after another."""
    every = np.ndarray((len(raw) - length + 1,), f"V{length}", raw, 0, (1,))
    return every[at]


def _of_length(raw: bytes, at: _Places, length: int) -> Any:
    ends = pa.py_buffer(ends_of(len(at), length))
    return pa.Array.from_buffers(pa.binary(), len(at), [None, ends, pa.py_buffer(_windows(raw, at, length))])


@lru_cache(maxsize=64)
def ends_of(many: int, length: int) -> array[int]:
    """Offsets of so many texts of one length."""
    return array("i", range(0, (many + 1) * length, length))


def _between(raw: bytes, begins: _Places, ends: _Places) -> Any:
    return _pieces(raw, begins, ends).take(_even(len(begins)))


def _pieces(raw: bytes, begins: _Places, ends: _Places) -> Any:
    """What is between, at even places; at odd ones what is between an end and the next begin. Nothing is copied."""
    bounds = np.empty(2 * len(begins), np.int32)
    bounds[::2], bounds[1::2] = begins, ends
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(raw)]
    return pa.Array.from_buffers(pa.binary(), len(bounds) - 1, buffers)


@lru_cache(maxsize=64)
def _even(many: int) -> Any:
    return pa.array(range(0, 2 * many, 2), pa.int32())


def _is_plain(texts: Any) -> bool:
    """Whether JSON writes these as they are."""
    held = texts.buffers()[2].to_pybytes()
    written = b'"' not in held and b"\\" not in held
    return written and (not held or int(np.frombuffer(held, np.uint8).min()) >= _SPACE)


def _as_text(columns: dict[str, Any], ascii_only: bool) -> dict[str, Any] | None:
    if ascii_only:
        return {name: pa.Array.from_buffers(pa.string(), len(one), one.buffers()) for name, one in columns.items()}
    try:
        return {name: one.cast(pa.string()) for name, one in columns.items()}
    except pa.ArrowInvalid:
        return None


def _facts(shape: Shape, data: Any) -> dict[str, Any] | None:
    """The facts of payloads that are values of JSON, each one; None if they are not, or one does not fit."""
    together = pa.ListArray.from_arrays(pa.array((0, len(data)), pa.int32()), data)
    [text] = pc.binary_join(together, b",%d," % _BETWEEN)
    try:
        values = shape.among_numbers.decode(b"[%b]" % text.as_buffer())
        facts, between = values[::2], values[1::2]
        if len(between) != len(data) - 1 or between.count(_BETWEEN) != len(between) or int in set(map(type, facts)):
            return None
        return shape.columns(facts)
    except (ValueError, ArithmeticError, RecursionError):  # those of msgspec and Arrow are among them
        return None
