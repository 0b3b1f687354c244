"""Reading events back, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from projections.archive import parquet
from projections.archive.columns import SCHEMA, events_of
from projections.archive.commits import ArchiveFile, Commit, Manifest, manifest
from projections.archive.errors import ArchiveDamaged
from projections.archive.places import Place
from schemas.envelope import Event

_END = 2**63 - 1


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
        wanted = None if types is None else tuple(types)
        end = _END if last is None else last
        at = first
        while at <= end:
            commit = self._covering(at)
            if commit is None:
                return
            try:
                table = self._rows(commit, mission, at, end, tenant)
            except FileNotFoundError:
                table = None
            if table is None:  # merged in the meantime, so that another commit names other files; or it is missing
                commit, table = self._again(commit, mission, at, end, tenant)
            yield from events_of(_of_types(parquet.in_log_order(table), wanted))
            at = commit.last + 1

    def table(self, commit: Commit) -> Any:
        """All rows of a commit, in log order. Raises :class:`ArchiveDamaged`."""
        try:
            return parquet.in_log_order(self._rows(commit, None, 1, _END, None))
        except FileNotFoundError as error:
            raise _missing(commit, error) from error

    def _covering(self, sequence: int) -> Commit | None:
        if self._manifest is None or self._manifest.end < sequence:
            self._manifest = manifest(self._place, self._manifest.commits if self._manifest else None)
        return next((commit for commit in self._manifest.chain if commit.last >= sequence), None)

    def _again(self, commit: Commit, mission: str | None, at: int, end: int, tenant: str | None) -> tuple[Commit, Any]:
        self._manifest = manifest(self._place)
        other = self._covering(at)
        if other is None:
            raise _missing(commit, FileNotFoundError())
        try:
            return other, self._rows(other, mission, at, end, tenant)
        except FileNotFoundError as error:
            raise _missing(other, error) from error

    def _rows(self, commit: Commit, mission: str | None, first: int, last: int, tenant: str | None) -> Any:
        tables = [
            self._file_rows(file, mission, first, last)
            for file in commit.files
            if file.last >= first
            and file.first <= last
            and (tenant is None or file.tenant == tenant)
            and (mission is None or file.missions[0] <= mission <= file.missions[1])
        ]
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table()

    def _file_rows(self, file: ArchiveFile, mission: str | None, first: int, last: int) -> Any:
        with self._place.open(file.path) as opened:
            try:
                return parquet.rows(opened, mission, first, last)
            except (OSError, ValueError, pa.ArrowException) as error:
                said = (str(error) or type(error).__name__).splitlines()[0]
                raise ArchiveDamaged(
                    f"the archive's file {file.path} cannot be read: {said}",
                    hint="`stig archive verify` names all that is damaged, `stig archive repair` mends it from the log",
                ) from error


def _of_types(table: Any, types: tuple[str, ...] | None) -> Any:
    if types is None:
        return table
    nouns = [one.removesuffix(".*") for one in types if one.endswith(".*")]
    chosen = pc.is_in(table["type"], value_set=pa.array([*types], pa.string()))
    return table.filter(pc.or_(chosen, pc.is_in(table["noun"], value_set=pa.array(nouns, pa.string()))))


def _missing(commit: Commit, error: FileNotFoundError) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"a file of the commit {commit.first}-{commit.last} is missing: {error.filename or error}",
        hint="put a copy back; or stig archive repair takes its events from the log again",
    )
