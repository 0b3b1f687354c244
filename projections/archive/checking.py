"""Proving an archive: no gap, every file as it was written, every event as the log has it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import msgspec

from events.port import Log, Window
from projections.archive.blobs import BlobCopies
from projections.archive.columns import events_of
from projections.archive.commits import Commit, Manifest, manifest
from projections.archive.errors import ArchiveDamaged
from projections.archive.places import Place
from projections.archive.reader import ArchiveReader
from schemas.envelope import Event

_MOST_TOLD = 20


@dataclass
class Report:
    """What was found. ``checksum`` is SHA-256 over (sequence, index, id, data) of all events that were compared and
    equal, in log order: two archives of one log have the same. ``compared_from`` is 0 if nothing was compared."""

    end: int = 0
    commits: int = 0
    files: int = 0
    events: int = 0
    blobs: int = 0
    log_end: int = 0
    compared_from: int = 0
    compared: int = 0
    checksum: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.problems


async def verify(place: Place, log: Log | None) -> Report:
    """Check an archive by itself, and against the log if there is one.

    Events older than the log's first one cannot be compared; ``compared_from`` says where it began.

    Raises:
        ArchiveDamaged: a commit cannot be read.
        ArchiveUnavailable, LogUnavailable: one of both does not answer.
    """
    found = await asyncio.to_thread(manifest, place)
    report = Report(found.end, len(found.chain), sum(len(one.files) for one in found.chain))
    report.events = sum(commit.events for commit in found.chain)
    report.problems += _gaps(found)
    for commit in found.chain:
        report.problems += await asyncio.to_thread(lambda one=commit: list(damage(place, one)))  # type: ignore[misc]
    copies = BlobCopies(place)
    report.blobs = await asyncio.to_thread(lambda: sum(1 for _ in copies.all()))
    report.problems += await asyncio.to_thread(lambda: list(copies.damage()))
    if log is not None:
        await _compare(found, place, log, report)
    return report


def _gaps(found: Manifest) -> Iterator[str]:
    if found.beyond_gap is not None:
        yield f"the sequences {found.end + 1} to {found.beyond_gap - 1} are missing: no commit covers them"


def damage(place: Place, commit: Commit) -> Iterator[str]:
    """What is wrong with the files of a commit, each in a line that names it; nothing if they are as written."""
    if commit.events != sum(file.rows for file in commit.files):
        yield f"commit {commit.first}-{commit.last}: says {commit.events} events, its files say otherwise"
    for file in commit.files:
        try:
            data = place.read(file.path)
        except FileNotFoundError:
            yield f"{file.path}: is missing, with {file.rows} events"
            continue
        if hashlib.sha256(data).hexdigest() != file.sha256:
            yield f"{file.path}: is not what was committed ({len(data)} bytes, {file.bytes} were committed)"


async def _compare(found: Manifest, place: Place, log: Log, report: Report) -> None:
    report.log_end = await log.last_sequence()
    if report.log_end < found.end:
        report.problems.append(f"the log ends at {report.log_end}, before the archive: it is another log, or has lost")
    digest = hashlib.sha256()
    events = _Peeked(log.read(Window(last=found.end)))
    if found.end and (oldest := await events.peek()) is not None:
        report.compared_from = oldest.sequence
        reader = ArchiveReader(place)
        for commit in found.chain:
            theirs = await events.until(commit.last)
            if commit.last >= report.compared_from:
                await _compare_range(reader, commit, theirs, report, digest)
    report.checksum = digest.hexdigest()


async def _compare_range(
    reader: ArchiveReader, commit: Commit, theirs: list[Event], report: Report, digest: hashlib._Hash
) -> None:
    try:
        table = await asyncio.to_thread(reader.table, commit)
        archived = [event for event in events_of(table) if event.sequence >= report.compared_from]
    except ArchiveDamaged as error:
        report.problems.append(f"events {commit.first} to {commit.last} cannot be compared: {error.message}")
        return
    found = list(_differences(archived, theirs))
    report.problems += found[:_MOST_TOLD]
    if len(found) > _MOST_TOLD:
        report.problems.append(f"and {len(found) - _MOST_TOLD} more between {commit.first} and {commit.last}")
    if not found:
        report.compared += len(archived)
        for event in archived:
            digest.update(f"{event.sequence} {event.index} {event.id} {len(event.data)} ".encode())
            digest.update(event.data)


def _differences(archived: list[Event], logged: list[Event]) -> Iterator[str]:
    ours = {(event.sequence, event.index): event for event in archived}
    theirs = {(event.sequence, event.index): event for event in logged}
    if len(ours) < len(archived):
        span = f"{archived[0].sequence} and {archived[-1].sequence}"
        yield f"{len(archived) - len(ours)} events between {span} are doubled"
    for place in sorted(ours.keys() | theirs.keys()):
        where = f"event {place[0]}.{place[1]}"
        if place not in theirs:
            yield f"{where} ({ours[place].id}) is in the archive and not in the log"
        elif place not in ours:
            yield f"{where} ({theirs[place].id}) is in the log and not in the archive"
        elif fields := _unlike(ours[place], theirs[place]):
            yield f"{where} ({theirs[place].id}) differs in {', '.join(fields)}"


def _unlike(one: Event, other: Event) -> list[str]:
    if msgspec.json.encode(one) == msgspec.json.encode(other):
        return []
    names = [name for name in one.__struct_fields__ if name != "data" and getattr(one, name) != getattr(other, name)]
    return names if bytes(one.data) == bytes(other.data) else [*names, "data"]


class _Peeked:
    """Events of the log, range by range."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events
        self._next: Event | None = None

    async def peek(self) -> Event | None:
        if self._next is None:
            self._next = await anext(self._events, None)
        return self._next

    async def until(self, last: int) -> list[Event]:
        taken: list[Event] = []
        while (event := await self.peek()) is not None and event.sequence <= last:
            taken.append(event)
            self._next = None
        return taken
