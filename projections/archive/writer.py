"""Writing a range of the log: its files first, then the commit that makes them count."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc

from projections.archive.columns import day_of, days_of, table_of
from projections.archive.commits import REPAIR, ArchiveFile, Commit, Manifest, first_name, manifest, opened
from projections.archive.messages import Message
from projections.archive.parquet import encoded
from projections.archive.places import Place
from projections.archive.sweeping import Clock, Unswept
from schemas.envelope import rfc3339
from schemas.errors import Conflict, StigmergyError

NO_DAY = "1970-01-01"


class ArchiveWriter:
    """Appends to an archive. Blocks: call it from a thread, one call at a time.

    Any number may try on one archive; whoever finds another at work stops with :class:`~schemas.errors.Conflict`.
    """

    def __init__(self, place: Place, calendar: Clock = time.time) -> None:
        self._place = place
        self._calendar = calendar
        self._name = secrets.token_hex(4)
        self._known: dict[str, Commit] = {}
        self._mine: tuple[Commit, bytes] | None = None
        self._unsure: tuple[Commit, bytes] | None = None

    def look(self) -> Manifest:
        """The commits as they are now."""
        found = manifest(self._place, self._known)
        self._known = found.commits
        return found

    def commit(self, first: int, last: int, messages: Sequence[Message]) -> Commit:
        """Archive a range of the log with the messages in it, which may be none.

        Raises:
            Conflict: another writer archives the same log into the same place. Nothing of ours is left.
            DiskFull, ArchiveUnavailable, TimedOut: try again, with the same range.
        """
        self._check_alone()
        if self._unsure is not None and (done := self._settle(*self._unsure)) is not None:
            return done
        files = write_files(self._place, messages, self._name, self._calendar)
        commit = made_commit(first, last, files, self._name, self._calendar)
        sealed = commit.sealed()
        self._unsure = (commit, sealed)
        # If this raises, the commit may be there all the same: its files have to stay.
        created = self._place.create(first_name(first), sealed)
        self._unsure = None
        if not created:
            remove(self._place, files)
            raise _two_writers(self._place, first)
        self._mine = (commit, sealed)
        return commit

    def _settle(self, commit: Commit, sealed: bytes) -> Commit | None:
        """What became of a commit whose creation ended with an error."""
        self._unsure = None
        if self._found(commit) != sealed:
            return None
        self._mine = (commit, sealed)
        return commit

    def _check_alone(self) -> None:
        """Our last commit is still ours: on an object store two may believe they have created one file."""
        if self._mine is None:
            return
        commit, sealed = self._mine
        found = self._found(commit)
        if found is not None and found != sealed and opened(found, first_name(commit.first)).writer != REPAIR:
            raise _two_writers(self._place, commit.first)

    def _found(self, commit: Commit) -> bytes | None:
        """None where it was merged with others, or never written."""
        try:
            return self._place.read(first_name(commit.first))
        except FileNotFoundError:
            return None


def write_files(
    place: Place, messages: Sequence[Message], writer: str, calendar: Clock = time.time
) -> list[ArchiveFile]:
    """Write the events of a range, by tenant and day.

    Raises what the place raises, or :class:`~schemas.errors.TimedOut`; nothing is left then.
    """
    unswept, today = Unswept(calendar), _day_of(calendar)
    files: list[ArchiveFile] = []
    try:
        for file, data in _files(messages, writer, today):
            files.append(file)
            place.write(file.path, data)
        unswept.check()
    except StigmergyError:
        remove(place, files)
        raise
    return files


def made_commit(
    first: int, last: int, files: Sequence[ArchiveFile], writer: str, calendar: Clock = time.time
) -> Commit:
    """A commit written now."""
    written = rfc3339(datetime.fromtimestamp(calendar(), UTC))
    events = sum(file.rows for file in files)
    return Commit(first=first, last=last, events=events, files=tuple(files), writer=writer, written=written)


def files_of(table: Any, tenant: str, day: str, writer: str) -> tuple[ArchiveFile, bytes]:
    """A file for rows of one tenant and one day, sorted already, with its bytes."""
    data = encoded(table)
    numbers = pc.min_max(table.column("sequence")).as_py()
    missions = table.column("mission")
    name = f"{numbers['min']:020d}-{numbers['max']:020d}.{writer}{secrets.token_hex(2)}.parquet"
    file = ArchiveFile(
        path=f"tenant={quote(tenant, safe='')}/date={day}/{name}",
        tenant=tenant,
        date=day,
        rows=table.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        first=numbers["min"],
        last=numbers["max"],
        missions=(missions[0].as_py(), missions[-1].as_py()),
    )
    return file, data


def remove(place: Place, files: Sequence[ArchiveFile]) -> None:
    """Take back what no commit names; what cannot be removed now is swept later."""
    for file in files:
        try:
            place.remove(file.path)
        except StigmergyError:
            return


def _day_of(calendar: Clock) -> date:
    return datetime.fromtimestamp(calendar(), UTC).date()


def _files(messages: Sequence[Message], writer: str, today: date) -> Iterator[tuple[ArchiveFile, bytes]]:
    # Messages are sorted, and not rows: a frame has hundreds of them, all of one mission.
    ordered = sorted(messages, key=attrgetter("order"))
    for tenant, together in groupby(ordered, key=lambda message: message.order[0]):
        table = table_of(list(together))
        for day, rows in _by_day(table, today):
            yield files_of(rows, tenant, day, writer)


def _by_day(table: Any, today: date) -> Iterator[tuple[str, Any]]:
    """A day that is still to come is a wrong clock: its folder would never be closed."""
    tomorrow = (today + timedelta(days=1)).isoformat()
    same = day_of(table)
    if same is not None:
        yield NO_DAY if same > tomorrow else same, table
        return
    days = days_of(table)
    days = pc.if_else(pc.greater(days, tomorrow), NO_DAY, days)
    found = pc.unique(days).to_pylist()
    for day in sorted(found):
        yield day, table if len(found) == 1 else table.filter(pc.equal(days, day))


def _two_writers(place: Place, first: int) -> Conflict:
    return Conflict(
        f"another writer archives into {place.name}: it has committed the events from {first} on",
        hint="run `stig serve archive` once for each archive; nothing was lost, the other one goes on",
    )
