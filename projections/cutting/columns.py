"""From a frame to Arrow: what varies, where the compiled loops find it, and the columns that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from projections.cutting import Cut, filling, finding
from projections.cutting.plan import Plan, plan_of
from projections.facts import DEFAULTS, KINDS, blank, costs_of
from schemas.envelope import Event

_MARK = "\0"
_MARKED = b"\\u0000"
_MICROS = pa.int64()

_encoder = msgspec.json.Encoder()
_with = msgspec.structs.replace
_Array = np.ndarray[Any, np.dtype[Any]]


class _DoesNotFit(Exception):
    """A frame that is to be read event by event."""


def columns_of(raw: bytes, first: Event, names: Sequence[str]) -> Cut | None:
    """The columns of a frame whose first event is given, if these names (and payloads) are all that varies in it."""
    marked = _with(first, data=msgspec.Raw(_MARKED), **dict.fromkeys(names, _MARK))
    *shared, tail = _encoder.encode(marked).split(_MARKED)
    if len(shared) != len(names) + 1 or tail != b"}" or not raw.startswith(b"["):
        return None
    plan = plan_of(first.type)
    frame = np.lib.stride_tricks.as_strided(np.frombuffer(raw, np.uint8), (len(raw) + 1,))  # with the NUL behind it
    bounds = np.cumsum((0, *map(len, shared)))
    most = len(raw) // int(bounds[-1]) + 1
    places = np.empty((len(names) + 1 + len(plan.columns), 2, most), np.int32)
    numbers = np.empty((len(plan.columns), most))
    texts, kept = np.frombuffer(b"".join(shared), np.uint8), np.full(finding.KEPT, -1)
    many = finding.find(
        frame, texts, bounds, plan.table, plan.names, places.reshape(-1), numbers.reshape(-1), kept, most
    )
    if many < 2:
        return None
    try:
        made = _Columns(raw, frame, places[:, :, :many], numbers[:, :many])
        pieces = {name: made.times(n) if name == "time" else made.texts(n) for n, name in enumerate((*names, "data"))}
        return Cut(first, many, pieces, made.facts(plan, len(names) + 1))
    except _DoesNotFit:
        return None


def compile_all() -> None:
    """Compile what is not compiled yet, by cutting something small."""
    event = Event(
        id="1", source="s", type="compile", time="2026-01-01T00:00:00.000000Z", tenant="t", mission="m",
        data=msgspec.Raw(b"{}"),
    )  # fmt: skip
    assert columns_of(_encoder.encode([event, event]), event, ("id", "time")) is not None


class _Columns:
    """Columns of what was found in a frame.

    Args:
        raw, frame: its bytes.
        places: begins and ends of the texts of each column.
        numbers: of each column of facts.
    """

    def __init__(self, raw: bytes, frame: _Array, places: _Array, numbers: _Array) -> None:
        self._raw, self._frame, self._places, self._numbers = raw, frame, places, numbers
        self._many = places.shape[2]
        self._sizes = (places[:, 1] - places[:, 0]).sum(axis=1).tolist()
        self._ascii = raw.isascii()

    def texts(self, number: int) -> Any:
        begins, ends = self._places[number]
        offsets, held = np.empty(self._many + 1, np.int32), np.empty(self._sizes[number], np.uint8)
        filling.texts(self._frame, begins, ends, offsets, held)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(held)]
        if self._ascii:
            return pa.Array.from_buffers(pa.string(), self._many, buffers)
        try:
            return pa.Array.from_buffers(pa.binary(), self._many, buffers).cast(pa.string())
        except pa.ArrowInvalid as error:
            raise _DoesNotFit from error

    def times(self, number: int) -> Any:
        (begins, ends), micros = self._places[number], np.empty(self._many, np.int64)
        if not filling.times(self._frame, begins, ends, micros):
            raise _DoesNotFit
        return pa.Array.from_buffers(_MICROS, self._many, [None, pa.py_buffer(micros)])

    def facts(self, plan: Plan, begin: int) -> dict[str, Any]:
        """The columns of :data:`DEFAULTS`; those of the plan begin with the one of this number."""
        made = {}
        for number, name in enumerate(plan.columns):
            if name in KINDS:
                made[name] = self._measures(name, number, plan.most[number], begin + number)
            elif self._sizes[begin + number]:
                made[name] = self.texts(begin + number)
        return {name: made[name] if name in made else blank(name, self._many) for name in DEFAULTS}

    def _measures(self, name: str, number: int, most: int, places: int) -> Any:
        found = self._numbers[number]
        for event in np.flatnonzero(found < 0).tolist():  # those that the loops left to Python
            begin, end = self._places[places, :, event]
            found[event] = float(self._raw[begin:end])
            if not 0 < found[event] <= most:
                raise _DoesNotFit
        return costs_of(pa.array(found)) if name == "cost" else pa.array(found.astype(KINDS[name].to_pandas_dtype()))
