"""Reading events back, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from projections.archive import parquet
from projections.archive.columns import SCHEMA, events_of
from projections.archive.commits import ArchiveFile, Commit, Manifest, manifest
from projections.archive.errors import ArchiveDamaged
from projections.archive.places import Place
from projections.archive.rows import END, Rows
from schemas.envelope import Event


class ArchiveReader:
    """Gives back what an archive holds. Blocks: call it from a thread where that matters."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._manifest: Manifest | None = None

    def read(
        self,
        mission: str | None = None,
        first: int = 1,
        last: int | None = None,
        types: Iterable[str] | None = None,
        tenant: str | None = None,
    ) -> Iterator[Event]:
        """Events by mission, sequence (both ends included), type (``task.ready`` or ``task.*``) and tenant.

        Raises:
            ArchiveDamaged: a file that is needed is missing or cannot be read; what came before was right.
            ArchiveUnavailable: the place does not answer.
        """
        named = None if types is None else tuple(types)
        wanted = Rows(first, END if last is None else last, tenant=tenant, mission=mission, types=named)
        for table, _ in self.tables(wanted):
            yield from events_of(table)

    def tables(self, wanted: Rows, columns: Sequence[str] | None = None) -> Iterator[tuple[Any, int]]:
        """Tables in log order, one a commit, and the sequence up to which nothing is missing. Raises as :meth:`read`.

        It ends where the archive ends, and at once if that is before ``wanted.first``.
        """
        at = wanted.first
        while at <= wanted.last:
            commit = self._covering(at)
            if commit is None or commit.first > at:
                return
            ours = replace(wanted, first=at)
            try:
                table = self._rows(commit, ours, columns)
            except FileNotFoundError:
                table = None
            if table is None:  # merged in the meantime, so that another commit names other files; or it is missing
                commit, table = self._again(commit, ours, columns)
            yield parquet.in_log_order(table), min(commit.last, wanted.last)
            at = commit.last + 1

    def table(self, commit: Commit) -> Any:
        """All rows of a commit, in log order. Raises :class:`ArchiveDamaged`."""
        try:
            return parquet.in_log_order(self._rows(commit, Rows(), None))
        except FileNotFoundError as error:
            raise _missing(commit, error) from error

    def _covering(self, sequence: int) -> Commit | None:
        if self._manifest is None or self._manifest.end < sequence:
            self._manifest = manifest(self._place, self._manifest.commits if self._manifest else None)
        return next((commit for commit in self._manifest.chain if commit.last >= sequence), None)

    def _again(self, commit: Commit, wanted: Rows, columns: Sequence[str] | None) -> tuple[Commit, Any]:
        self._manifest = manifest(self._place)
        other = self._covering(wanted.first)
        if other is None:
            raise _missing(commit, FileNotFoundError())
        try:
            return other, self._rows(other, wanted, columns)
        except FileNotFoundError as error:
            raise _missing(other, error) from error

    def _rows(self, commit: Commit, wanted: Rows, columns: Sequence[str] | None) -> Any:
        tables = [self._file_rows(file, wanted, columns) for file in commit.files if wanted.may_be_in(file)]
        if tables:
            return pa.concat_tables(tables)
        empty = SCHEMA.empty_table()
        return empty if columns is None else empty.select([n for n in SCHEMA.names if n in {*columns, *wanted.columns}])

    def _file_rows(self, file: ArchiveFile, wanted: Rows, columns: Sequence[str] | None) -> Any:
        with self._place.open(file.path) as opened:
            try:
                return parquet.rows(opened, wanted, columns)
            except (OSError, ValueError, pa.ArrowException) as error:
                said = (str(error) or type(error).__name__).splitlines()[0]
                raise ArchiveDamaged(
                    f"the archive's file {file.path} cannot be read: {said}",
                    hint="`stig archive verify` names all that is damaged, `stig archive repair` mends it from the log",
                ) from error


def _missing(commit: Commit, error: FileNotFoundError) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"a file of the commit {commit.first}-{commit.last} is missing: {error.filename or error}",
        hint="put a copy back; or stig archive repair takes its events from the log again",
    )
