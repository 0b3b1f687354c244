"""Which rows of an archive are wanted: looked at in columns, before any event is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from projections.archive.commits import ArchiveFile

END = 2**63 - 1
UNDATED = "1970-01-01"
"""The day of files whose events have no readable time, or one in the future."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that fit everything that is set; ``first`` and ``last`` are sequences, both included.

    Attributes:
        types: ``task.ready`` or ``task.*``.
        verb: of any noun.
        since, until: inclusive. Rows whose time the column cannot hold are always among them.
    """

    first: int = 1
    last: int = END
    tenant: str | None = None
    mission: str | None = None
    types: tuple[str, ...] | None = None
    verb: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def may_be_in(self, file: ArchiveFile) -> bool:
        """Whether the file is worth opening."""
        return (
            file.last >= self.first
            and file.first <= self.last
            and self.tenant in (None, file.tenant)
            and (self.mission is None or file.missions[0] <= self.mission <= file.missions[1])
            and (file.date == UNDATED or self._on(file.date))
        )

    def _on(self, date: str) -> bool:
        since = self.since.astimezone(UTC).date().isoformat() if self.since is not None else ""
        until = self.until.astimezone(UTC).date().isoformat() if self.until is not None else "9999"
        return since <= date <= until

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that :meth:`of` looks at."""
        named = ("mission", self.mission), ("type", self.types or self.verb), ("time", self.since or self.until)
        return ("sequence", "index", *(name for name, asked in named if asked))

    def of(self, table: Any) -> Any:
        """The rows of a table that fit."""
        chosen = None
        for mask in self._masks(table):
            chosen = mask if chosen is None else pc.and_(chosen, mask)
        return table if chosen is None else table.filter(chosen)

    def _masks(self, table: Any) -> Any:
        if self.first > 1 or self.last < END:
            number = table["sequence"]
            yield pc.and_(pc.greater_equal(number, self.first), pc.less_equal(number, self.last))
        if self.mission is not None:
            yield pc.equal(table["mission"], self.mission)
        if self.types is not None:
            yield _of_types(table["type"], self.types)
        if self.verb is not None:
            yield pc.ends_with(table["type"], f".{self.verb}")
        if self.since is not None:
            yield pc.fill_null(pc.greater_equal(table["time"], pa.scalar(self.since.astimezone(UTC))), True)
        if self.until is not None:
            yield pc.fill_null(pc.less_equal(table["time"], pa.scalar(self.until.astimezone(UTC))), True)


def _of_types(column: Any, types: tuple[str, ...]) -> Any:
    mask = pc.is_in(column, value_set=pa.array([*types], pa.string()))
    for noun in (one.removesuffix("*") for one in types if one.endswith(".*")):
        mask = pc.or_(mask, pc.starts_with(column, noun))
    return mask
