"""Merging the small files of closed days: new files, a new commit, and only then the old ones go.

A crash leaves either the old commits alone, with new files that nobody names, or both; then the chain takes the new
one, and the sweep removes the rest.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from projections.archive.commits import ArchiveFile, Commit, manifest, range_name
from projections.archive.errors import ArchiveDamaged
from projections.archive.parquet import in_file_order, rows
from projections.archive.places import Place
from projections.archive.rows import Rows
from projections.archive.sweeping import Clock, Unswept
from projections.archive.writer import files_of, made_commit, remove
from schemas.errors import StigmergyError

MOST_EVENTS = 500_000
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Merged:
    """Numbers of commits, files and bytes before and after."""

    commits: tuple[int, int]
    files: tuple[int, int]
    bytes: tuple[int, int]


def compact(place: Place, *, today: str | None = None, calendar: Clock = time.time) -> Merged:
    """Merge neighbouring commits whose days are all over, up to 500,000 events or 64 MiB in each.

    Args:
        place: the archive; a writer may be at work on it.
        today: the first day that is left alone, ``2026-01-31``; by default the present one, UTC.

    Raises:
        ArchiveDamaged: a file that is to be merged is missing or not as committed; it stays as it is.
        DiskFull, ArchiveUnavailable, TimedOut: what was merged so far is safe.
    """
    before = manifest(place)
    for run in _runs(before.chain, today or datetime.fromtimestamp(calendar(), UTC).strftime("%Y-%m-%d")):
        _merge(place, run, calendar)
    after = manifest(place)
    return Merged(
        (len(before.chain), len(after.chain)),
        (sum(len(one.files) for one in before.chain), sum(len(one.files) for one in after.chain)),
        (sum(one.size for one in before.chain), sum(one.size for one in after.chain)),
    )


def _runs(chain: Sequence[Commit], today: str) -> Iterator[list[Commit]]:
    run: list[Commit] = []
    for commit in chain:
        closed = all(file.date < today for file in commit.files)
        fits = sum(one.events for one in run) + commit.events <= MOST_EVENTS
        if not closed or not fits or sum(one.size for one in run) + commit.size > MOST_BYTES:
            if len(run) > 1:
                yield run
            run = []
        if closed:
            run.append(commit)
    if len(run) > 1:
        yield run


def _merge(place: Place, run: list[Commit], calendar: Clock) -> None:
    unswept = Unswept(calendar)
    written: list[ArchiveFile] = []
    try:
        for (tenant, day), table in _together(place, run).items():
            file, data = files_of(table, tenant, day, secrets.token_hex(4))
            written.append(file)
            place.write(file.path, data)
            unswept.check()
            if not _table(place, file).equals(table):
                raise ArchiveDamaged(f"{file.path} does not read as it was written", hint="check the disk; try again")
        commit = made_commit(run[0].first, run[-1].last, written, "compact", calendar)
        _check(commit, run)
        unswept.check()
    except StigmergyError:
        remove(place, written)
        raise
    # If this raises, the commit may be there all the same: its files have to stay.
    if not place.create(range_name(commit), commit.sealed()):  # another run was first, with the same events
        remove(place, written)
        return
    _drop(place, run)


def _together(place: Place, run: list[Commit]) -> dict[tuple[str, str], Any]:
    """The rows of all files by tenant and day, in file order."""
    tables: dict[tuple[str, str], list[Any]] = {}
    for commit in run:
        for file in commit.files:
            tables.setdefault((file.tenant, file.date), []).append(_table(place, file))
    return {key: in_file_order(pa.concat_tables(parts)).combine_chunks() for key, parts in sorted(tables.items())}


def _table(place: Place, file: ArchiveFile) -> Any:
    """All rows of a file that is exactly what was committed."""
    try:
        data = place.read(file.path)
    except FileNotFoundError as error:
        raise ArchiveDamaged(f"{file.path} is missing", hint="stig archive verify") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ArchiveDamaged(f"{file.path} is not what was committed", hint="stig archive verify")
    return rows(io.BytesIO(data), Rows())


def _check(commit: Commit, run: list[Commit]) -> None:
    if commit.events != sum(one.events for one in run):
        raise ArchiveDamaged(
            f"merging {commit.first} to {commit.last} would change the number of events", hint="stig archive verify"
        )


def _drop(place: Place, run: list[Commit]) -> None:
    """Old commits first: a commit without its files would be damage, files without a commit are only leftovers."""
    merged = {(commit.first, commit.last, commit.writer) for commit in run}
    for path, commit in manifest(place).commits.items():
        if (commit.first, commit.last, commit.writer) in merged:
            place.remove(path)
    for commit in run:
        for file in commit.files:
            place.remove(file.path)
