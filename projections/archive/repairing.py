"""Making parts of an archive anew from the log, each in one step, while it is written and read.

The log never changes, so a range that is read again gives the same events, and a commit over them is as true as the
one it replaces. Nothing has to be switched at the end: at every moment the archive is whole. A crash leaves files that
no commit names; the sweep removes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from events.port import Log, Window
from projections.archive.checking import damage
from projections.archive.commits import (
    ABSENT,
    COMMITS,
    REPAIR,
    ArchiveFile,
    Commit,
    Manifest,
    first_name,
    manifest,
    opened,
    range_name,
)
from projections.archive.errors import ArchiveDamaged
from projections.archive.messages import messages_of
from projections.archive.places import Place
from projections.archive.writer import made_commit, write_files
from schemas.envelope import Event
from schemas.errors import InvalidInput, Refused
from schemas.subjects import EVENTS

DAMAGED = "damaged"
"""The folder for commits that cannot be read."""
_MOST_EVENTS = 100_000
_MOST_BYTES = 64 * 1024 * 1024


@dataclass
class Repaired:
    """``made``: ranges taken from the log again. ``aside``: commits that could not be read; the writer fills their
    ranges. ``lost``: what is damaged or missing, and no longer on the log either."""

    made: list[tuple[int, int]] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


async def repair(place: Place, log: Log, *, accept_loss: bool = False) -> Repaired:
    """Mend every commit and file that is damaged or missing, as far as the log still has its events.

    Args:
        place: the archive; its writer may be at work.
        log: the log it is of.
        accept_loss: record ranges that neither archive nor log has as absent, so that the writer goes on behind them.

    Raises:
        ArchiveUnavailable, DiskFull, LogUnavailable: what was mended so far is safe; try again.
    """
    done = Repaired()
    done.aside, unreadable = await set_aside_unreadable(place, log)
    done.lost += unreadable
    if unreadable:
        return done
    found, first = await asyncio.to_thread(manifest, place), (await log.oldest())[0]
    for commit in found.chain:
        wrong = await asyncio.to_thread(lambda one=commit: list(damage(place, one)))  # type: ignore[misc]
        if not wrong:
            continue
        if commit.first < first:
            done.lost += [f"{line}; the log begins at {first}" for line in wrong]
            continue
        await _made_anew(place, log, found, [commit])
        done.made.append((commit.first, commit.last))
    hole = hole_of(found, first)
    if hole is not None and accept_loss:
        await asyncio.to_thread(put_absent, place, *hole)
    elif hole is not None:
        done.lost.append(f"the sequences {hole[0]} to {hole[1]} are neither in the archive nor on {EVENTS}")
    return done


async def set_aside_unreadable(place: Place, log: Log) -> tuple[list[str], list[str]]:
    """Move commits that cannot be read to ``damaged/``, where the log still has their events: the writer fills the
    gap. Returns what was moved, and what has to stay."""
    first = (await log.oldest())[0]
    aside: list[str] = []
    stay: list[str] = []
    for path in await asyncio.to_thread(lambda: list(_unreadable(place))):
        begins = path.removeprefix(f"{COMMITS}/").partition("-")[0].removesuffix(".json")
        if not begins.isdigit() or int(begins) < first:
            stay.append(f"{path}: cannot be read, and the log begins at {first}")
            continue
        await asyncio.to_thread(_move_aside, place, path)
        aside.append(path)
    return aside, stay


async def rebuild_all(place: Place, log: Log, progress: Callable[[int, int], None]) -> int:
    """Make every commit anew, several small ones in one. Returns the last sequence of the archive.

    Raises:
        Refused: the log no longer has all that the archive holds; nothing was changed.
    """
    found, first = await asyncio.to_thread(manifest, place), (await log.oldest())[0]
    held = [commit for commit in found.chain if commit.writer != ABSENT]
    if held and held[0].first < first:
        raise Refused(
            f"the log begins at {first:,}, the archive at {held[0].first:,}: what only the archive has stays as it is",
            hint="stig archive verify checks it, stig archive repair mends what the log still has, compact merges",
        )
    for run in _runs(held):
        await _made_anew(place, log, found, run)
        progress(run[-1].last, found.end)
    return found.end


def hole_of(found: Manifest, first: int) -> tuple[int, int] | None:
    """The sequences behind the archive's end that the log no longer has, if there are any."""
    return (found.end + 1, first - 1) if first > found.end + 1 and found.beyond_gap is None else _gap(found, first)


def put_absent(place: Place, first: int, last: int) -> None:
    """Say that this archive never had a range."""
    place.create(first_name(first), made_commit(first, last, [], ABSENT).sealed())


def _gap(found: Manifest, first: int) -> tuple[int, int] | None:
    if found.beyond_gap is None or first <= found.end + 1:
        return None
    return found.end + 1, min(first, found.beyond_gap) - 1


def _runs(chain: Sequence[Commit]) -> Iterator[list[Commit]]:
    run: list[Commit] = []
    for commit in chain:
        size = sum(one.size for one in run) + commit.size
        follows = not run or run[-1].last + 1 == commit.first
        if run and (not follows or size > _MOST_BYTES or sum(one.events for one in run) + commit.events > _MOST_EVENTS):
            yield run
            run = []
        run.append(commit)
    if run:
        yield run


async def _made_anew(place: Place, log: Log, found: Manifest, run: list[Commit]) -> None:
    first, last = run[0].first, run[-1].last
    events = [event async for event in log.read(Window(first=first, last=last))]
    if len(events) != (had := sum(commit.events for commit in run)):
        raise Refused(
            f"the log has {len(events)} events from {first} to {last}, and {had} were archived: they stay as they are",
            hint="stig archive verify names the events that differ",
        )
    await asyncio.to_thread(_replace, place, found, run, events)


def _replace(place: Place, found: Manifest, run: list[Commit], events: list[Event]) -> None:
    """New files, the new commit in place of an old one, and then what is left of the old ones goes."""
    files = write_files(place, messages_of(events), REPAIR)
    commit = made_commit(run[0].first, run[-1].last, files, REPAIR)
    old = {path: one for path, one in found.commits.items() if one in run}
    path = next(iter(old)) if len(run) == 1 else range_name(commit)
    place.write(path, commit.sealed())
    for each in old:
        if each != path:
            place.remove(each)
    kept = {file.path for file in _named_otherwise(place, run)} | {file.path for file in files}
    for file in (file for one in run for file in one.files if file.path not in kept):
        place.remove(file.path)


def _named_otherwise(place: Place, run: list[Commit]) -> list[ArchiveFile]:
    """A merge that ran at the same time may count on a file of these commits."""
    return [file for one in manifest(place).commits.values() if one not in run for file in one.files]


def _unreadable(place: Place) -> Iterator[str]:
    for found in place.list(COMMITS):
        if not found.path.endswith(".json"):
            continue
        try:
            opened(place.read(found.path), found.path)
        except FileNotFoundError:  # merged into another in this moment
            continue
        except ArchiveDamaged:
            yield found.path


def _move_aside(place: Place, path: str) -> None:
    try:
        data = place.read(path)
    except FileNotFoundError:
        return
    place.write(f"{DAMAGED}/{path.removeprefix(f'{COMMITS}/')}", data)
    place.remove(path)


def no_way_on(place: Place, hole: tuple[int, int]) -> InvalidInput:
    """The error of a writer that would have to leave a hole."""
    return InvalidInput(
        f"the events {hole[0]} to {hole[1]} are neither in the archive {place.name} nor on the log",
        hint="put their commits and files back from a copy; stig archive repair --accept-loss goes on without them",
    )
