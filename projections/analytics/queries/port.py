"""What is asked of the analytics read model, and how answers come: a heading, rows in batches, an ending."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from schemas.errors import StigmergyError

_INNERMOST = re.compile(r"(?:(?:LowCardinality|Nullable|SimpleAggregateFunction)\((?:\w+, )?)*([A-Za-z0-9]+)")
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "Decimal": Decimal,
    "Date": date.fromisoformat,
    "Date32": date.fromisoformat,
}
ROWS = 10_000
"""So many rows are answered unless the asker wants another number."""
MOST_ROWS = 1_000_000
Value = str | int | float | bool


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A template by its name, or SQL; exactly one of them.

    Attributes:
        parameters: of the template, or for the ``{name:Type}`` of the SQL.
        limit: rows after which the answer is cut, and says so.
    """

    template: str = ""
    sql: str = ""
    parameters: dict[str, Value] = {}
    limit: int = ROWS


class Column(msgspec.Struct, frozen=True):
    """A column of an answer, with its type in ClickHouse's words. Times are in UTC."""

    name: str
    type: str


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """Comes first."""

    columns: tuple[Column, ...]


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """Some rows. Values: None, bool, int, float, str, datetime, date, Decimal; and lists and dicts of those."""

    rows: list[list[Any]]


class Ending(msgspec.Struct, frozen=True, tag="ending"):
    """Comes last.

    Attributes:
        cut: there were more rows than were asked for.
        elapsed_s: seconds that the engine took.
    """

    rows: int
    cut: bool
    elapsed_s: float


Part = Heading | Batch | Ending


class QueryEngine(Protocol):
    """Answers questions."""

    def ask(self, tenant: str, question: Question) -> AsyncGenerator[Part]:
        """The parts of the answer, as they come; only rows of this tenant.

        Raises:
            InvalidInput: no such template, a parameter that does not fit, SQL that is wrong or not let through.
            LimitExceeded: it took too long, or too much memory.
            Unavailable: whoever could answer is not there.
        """


class Answer(list[dict[str, Any]]):
    """The rows of an answer as dicts.

    Attributes:
        columns: in their order; also when there are no rows.
        cut: there were more rows.
    """

    def __init__(self, columns: tuple[Column, ...], rows: list[list[Any]], ending: Ending) -> None:
        names = [column.name for column in columns]
        super().__init__(dict(zip(names, row, strict=True)) for row in rows)
        self.columns = columns
        self.cut = ending.cut
        self.elapsed_s = ending.elapsed_s


async def collect(parts: AsyncIterator[Part]) -> Answer:
    """The whole answer. Raises what the engine raises."""
    heading: Heading | None = None
    ending: Ending | None = None
    rows: list[list[Any]] = []
    async for part in parts:
        match part:
            case Heading():
                heading = part
            case Batch():
                rows += part.rows
            case Ending():
                ending = part
    if heading is None or ending is None or ending.rows != len(rows):
        raise StigmergyError("the answer is not whole", hint="ask again")
    return Answer(heading.columns, rows, ending)


def restored(columns: tuple[Column, ...], rows: list[list[Any]]) -> list[list[Any]]:
    """Rows after their way through MessagePack, which carries decimals and dates as text."""
    readers = [_reader(column.type) for column in columns]
    if not any(readers):
        return rows
    return [
        [read(value) if read and value is not None else value for read, value in zip(readers, row, strict=True)]
        for row in rows
    ]


def _reader(kind: str) -> Callable[[str], Any] | None:
    found = _INNERMOST.match(kind)
    return _FROM_TEXT.get(found[1]) if found else None
