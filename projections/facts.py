"""What the columns need of a payload: a few fields, decoded in one pass that builds nothing else.

Which fields a type has is read from its class in ``schemas.events``; a type we do not know is searched for all of them.
A payload that does not fit is read field by field, and what cannot be used is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from schemas.errors import UnknownType
from schemas.events import type_named

LONGEST_NAME = 256
"""Longer values of columns with few distinct values are cut."""
_Name = Annotated[str, Meta(max_length=LONGEST_NAME)] | None
_Seconds = Annotated[float, Meta(ge=0, le=1e9)]
_Tokens = Annotated[int, Meta(ge=0, le=10**15)]


class _Failure(msgspec.Struct, gc=False):
    code: _Name = ""


class _Observation(msgspec.Struct, gc=False):
    duration_s: _Seconds = 0.0


class _Order(msgspec.Struct, gc=False):
    skill: _Name = ""


class _Violation(msgspec.Struct, gc=False):
    kind: _Name = ""


FIELDS: dict[str, tuple[Any, Any]] = {
    "task": (str | None, ""),
    "attempt": (Annotated[int, Meta(ge=0, le=65_535)] | None, 0),
    "agent": (_Name, ""),
    "worker": (str | None, ""),
    "skill": (_Name, ""),
    "tool": (_Name, ""),
    "outcome": (_Name, ""),
    "code": (_Name, ""),
    "duration_s": (_Seconds | None, 0.0),
    "waited_s": (_Seconds | None, 0.0),
    "model": (_Name, ""),
    "tokens_in": (_Tokens | None, 0),
    "tokens_out": (_Tokens | None, 0),
    "cost_usd": (Annotated[float, Meta(ge=0, le=1e8)] | None, 0.0),
    "failure": (_Failure | None, None),
    "observation": (_Observation | None, None),
    "order": (_Order | None, None),
    "violations": (list[_Violation] | None, None),
}
"""Name in the payload to its type and what stands for its absence."""

Lists = Callable[[Sequence[Any]], list[Any]]
# Written out, one for each: a comprehension that always reads one field is twice as quick as one that is told which.
COLUMNS: dict[str, tuple[str, Lists]] = {
    "task": ("task", lambda facts: [each.task for each in facts]),
    "attempt": ("attempt", lambda facts: [each.attempt for each in facts]),
    "agent": ("agent", lambda facts: [each.agent for each in facts]),
    "worker": ("worker", lambda facts: [each.worker for each in facts]),
    "skill": ("skill", lambda facts: [each.skill for each in facts]),
    "tool": ("tool", lambda facts: [each.tool for each in facts]),
    "outcome": ("outcome", lambda facts: [each.outcome for each in facts]),
    "code": ("code", lambda facts: [each.code for each in facts]),
    "duration_s": ("duration_s", lambda facts: [each.duration_s for each in facts]),
    "waited_s": ("duration_s", lambda facts: [each.waited_s for each in facts]),
    "model": ("model", lambda facts: [each.model for each in facts]),
    "tokens_in": ("tokens_in", lambda facts: [each.tokens_in for each in facts]),
    "tokens_out": ("tokens_out", lambda facts: [each.tokens_out for each in facts]),
    "cost_usd": ("cost", lambda facts: [each.cost_usd for each in facts]),
    "failure": ("code", lambda facts: [each.failure and each.failure.code for each in facts]),
    "observation": ("duration_s", lambda facts: [each.observation and each.observation.duration_s for each in facts]),
    "order": ("skill", lambda facts: [each.order and each.order.skill for each in facts]),
    "violations": ("code", lambda facts: [each.violations[0].kind if each.violations else None for each in facts]),
}
"""The column that a field fills, and its values. Several may fill one: what a later one has goes before."""

DEFAULTS: dict[str, Any] = {
    column: empty for name, (_, empty) in FIELDS.items() if (column := COLUMNS[name][0]) == name or name == "cost_usd"
}
"""The columns that are made of payloads, and what they hold where there is nothing."""
_COST = pa.decimal128(18, 9)
KINDS: dict[str, Any] = {
    "attempt": pa.uint16(),
    "duration_s": pa.float64(),
    "tokens_in": pa.uint64(),
    "tokens_out": pa.uint64(),
    "cost": _COST,
}
"""Their types, where they are no texts."""
_EMPTY = {
    name: pa.scalar(Decimal(0) if name == "cost" else empty, KINDS.get(name, pa.string()))
    for name, empty in DEFAULTS.items()
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How payloads of a type are read.

    Attributes:
        decoder: gives an object with the fields of ``reads`` as attributes.
        reads: names of fields.
    """

    decoder: msgspec.json.Decoder[Any]
    kind: Callable[..., Any]
    reads: tuple[str, ...]

    def columns(self, facts: Sequence[Any]) -> dict[str, Any]:
        """The columns of :data:`DEFAULTS`."""
        filled = self._lists(facts)
        many = len(facts)
        return {name: _column(name, filled[name]) if name in filled else blank(name, many) for name in DEFAULTS}

    def _lists(self, facts: Sequence[Any]) -> dict[str, list[Any]]:
        """The columns that this type fills, as lists; None stands for nothing."""
        made: dict[str, list[Any]] = {}
        for name in self.reads:
            column, listed = COLUMNS[name]
            values = listed(facts)
            if column in made:
                before = made[column]
                values = (
                    before
                    if values.count(None) == len(values)
                    else [b or a for a, b in zip(before, values, strict=True)]
                )
            made[column] = values
        return made


@lru_cache(maxsize=1024)
def shape_of(type_name: str) -> Shape:
    """How payloads of a type are read. Types of users, and those of later releases, may have any of the fields."""
    try:
        present = set(type_named(type_name).model_fields)
    except UnknownType:
        present = set(FIELDS)
    reads = tuple(name for name in FIELDS if name in present)
    fields = [(name, *FIELDS[name]) for name in reads]
    kind = msgspec.defstruct("Facts", fields, gc=False)
    return Shape(msgspec.json.Decoder(kind), kind, reads)


def read(shape: Shape, data: bytes | msgspec.Raw) -> tuple[Any, list[str]]:
    """The fields of a payload that does not fit, as far as they can be used, and the names of those that cannot."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return shape.kind(), ["data"]
    if not isinstance(found, dict):
        return shape.kind(), ["data"]
    values: dict[str, Any] = {}
    defects: list[str] = []
    for name in shape.reads:
        if name not in found:
            continue
        try:
            values[name] = msgspec.convert(found[name], FIELDS[name][0])
        except (msgspec.ValidationError, OverflowError):
            values[name] = _nearest(found[name], name)
            defects.append(name)
    return shape.kind(**values), defects


def _nearest(value: Any, name: str) -> Any:
    """What of a value can be used: the beginning of a text, else nothing."""
    empty = FIELDS[name][1]
    return value[:LONGEST_NAME] if isinstance(empty, str) and isinstance(value, str) else empty


def costs_of(costs: Any) -> Any:
    """Of floats: decimals with nine places, by way of whole billionths: sums of them are exact, whatever the order."""
    billionths = (
        pc.round(pc.multiply(costs, 1e9), round_mode="half_to_even").cast(pa.int64()).cast(pa.decimal128(19, 0))
    )
    return pa.Array.from_buffers(_COST, len(costs), [None, billionths.buffers()[1]])


def _column(name: str, values: list[Any]) -> Any:
    if name == "cost":
        return costs_of(pc.fill_null(pa.array(values, pa.float64()), 0.0))
    kind, first = KINDS.get(name, pa.string()), values[0]
    if first == values[-1] and values.count(first) == len(values):
        return blank(name, len(values)) if first is None else pa.repeat(pa.scalar(first, kind), len(values))
    made = pa.array(values, kind)
    return pc.fill_null(made, DEFAULTS[name]) if made.null_count else made


@lru_cache(maxsize=256)
def blank(name: str, many: int) -> Any:
    """A column of :data:`DEFAULTS` that holds nothing."""
    return pa.repeat(_EMPTY[name], many)
