"""What there is to be found in the payloads of a type, as a table for the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from msgspec import inspect

from projections.cutting import finding
from projections.facts import COLUMNS, FIELDS, shape_of

_LONGEST = 2**31


@dataclass(frozen=True, slots=True)
class Plan:
    """Fields of payloads, and the columns they fill.

    Attributes:
        columns: those of :data:`projections.facts.DEFAULTS` that are filled.
        most: the greatest number in each of them.
        table: as :func:`projections.cutting.finding.find` takes it.
        names: of all fields, one after another.
    """

    columns: tuple[str, ...]
    most: tuple[int, ...]
    table: Any
    names: Any


@lru_cache(maxsize=1024)
def plan_of(type_name: str) -> Plan:
    """What there is to be found in payloads of a type."""
    reads = shape_of(type_name).reads
    columns = tuple(dict.fromkeys(COLUMNS[name][0] for name in reads))
    names, rows = bytearray(), []
    for name in reads:
        kind, nullable = _without_null(inspect.type_info(FIELDS[name][0]))
        row = dict.fromkeys(range(finding.WIDTH), 0)
        row[finding.COLUMN] = columns.index(COLUMNS[name][0])
        row[finding.NULLABLE] = nullable
        row[finding.NAME], row[finding.NAME_END] = _put(names, name)
        if isinstance(kind, inspect.StructType | inspect.ListType):
            row[finding.KIND] = finding.INNER if isinstance(kind, inspect.StructType) else finding.LIST
            [inner] = _struct(kind).fields
            kind, row[finding.INNER_NULLABLE] = _without_null(inner.type)
            row[finding.INNER_NAME], row[finding.INNER_NAME_END] = _put(names, inner.name)
            row[finding.INNER_KIND], row[finding.MOST] = _leaf(kind)
        else:
            row[finding.KIND], row[finding.MOST] = _leaf(kind)
        rows.append(row)
    most = {row[finding.COLUMN]: row[finding.MOST] for row in rows}
    return Plan(
        columns,
        tuple(most[n] for n in range(len(columns))),
        np.array([[*row.values()] for row in rows], np.int64).reshape(-1),
        np.frombuffer(bytes(names), np.uint8),
    )


def _put(names: bytearray, name: str) -> tuple[int, int]:
    begin = len(names)
    names += name.encode()
    return begin, len(names)


def _without_null(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    if not isinstance(kind, inspect.UnionType):
        return kind, False
    [other] = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return other, True


def _struct(kind: inspect.StructType | inspect.ListType) -> inspect.StructType:
    inner = kind.item_type if isinstance(kind, inspect.ListType) else kind
    assert isinstance(inner, inspect.StructType)
    return inner


def _leaf(kind: inspect.Type) -> tuple[int, int]:
    """The kind of a field that holds no others, and its ``MOST``."""
    match kind:
        case inspect.StrType():
            return finding.TEXT, kind.max_length or _LONGEST
        case inspect.IntType(ge=0, le=int(most)) if most <= finding.MOST_EXACT:
            return finding.WHOLE, most
        case inspect.FloatType(ge=0, le=float() | int() as most):
            return finding.NUMBER, int(most)
        case _:
            raise AssertionError(f"there is no way to find {kind} in a payload")
