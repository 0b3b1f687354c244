"""What counts: commits, and the chain that they form.

A commit says that the archive holds the sequences ``first`` to ``last`` of the log, all of them, in these files. Only
what a commit of the chain names is part of the archive. All commits tell the truth about the same unchanging log, so it
does no harm if two of them cover the same range: the chain takes one way through them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from projections.archive.errors import ArchiveDamaged, ArchiveUnavailable
from projections.archive.places import Place

COMMITS = "commits"
VERSION = 1
REPAIR = "repair"
"""The writer of a commit that was made anew from the log."""
ABSENT = "absent"
"""The writer of a commit over sequences that the log no longer had when the archive began: it holds nothing."""


class ArchiveFile(BaseModel):
    """One Parquet file. ``missions`` are its first and its last, by name; ``first`` and ``last`` its sequences."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(pattern=r"^tenant=[^/]*/date=\d{4}-\d\d-\d\d/[^/]+\.parquet$")
    tenant: str
    date: str
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str
    first: int
    last: int
    missions: tuple[str, str]


class Commit(BaseModel):
    """A range of the log that is archived; ``writer`` tells apart who wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    first: int = Field(ge=1)
    last: int
    events: int
    files: tuple[ArchiveFile, ...]
    writer: str
    written: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    def sealed(self) -> bytes:
        """As it is stored: with a checksum over itself."""
        body = self.model_dump(mode="json")
        return json.dumps({"seal": _seal(body), "commit": body}, indent=1).encode()


def opened(raw: bytes, path: str) -> Commit:
    """The commit in a file. Raises :class:`ArchiveDamaged`; ArchiveUnavailable for one of a later release."""
    try:
        found = json.loads(raw)
        if found["commit"]["version"] > VERSION:
            raise _newer(path)
        intact = found["seal"] == _seal(found["commit"])
        commit = Commit.model_validate(found["commit"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _damaged(path) from error
    if not intact:
        raise _damaged(path)
    return commit


def first_name(first: int) -> str:
    """The path of a writer's commit: one name for one beginning, so that of two writers one is refused."""
    return f"{COMMITS}/{first:020d}.json"


def range_name(commit: Commit) -> str:
    """The path of a commit that replaces others."""
    return f"{COMMITS}/{commit.first:020d}-{commit.last:020d}.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """All commits by path, and those that count, in order and without a gap from sequence 1 to ``end``."""

    commits: dict[str, Commit]
    chain: tuple[Commit, ...]

    @property
    def end(self) -> int:
        return self.chain[-1].last if self.chain else 0

    @property
    def absent(self) -> tuple[tuple[int, int], ...]:
        """Ranges that this archive never had."""
        return tuple((commit.first, commit.last) for commit in self.chain if commit.writer == ABSENT)

    @property
    def beyond_gap(self) -> int | None:
        """The first sequence that is archived after a gap, if there is a gap."""
        return min((commit.first for commit in self.commits.values() if commit.first > self.end), default=None)


def manifest(place: Place, known: dict[str, Commit] | None = None) -> Manifest:
    """Read the commits; those of ``known`` are not read again, for a commit never changes.

    Raises:
        ArchiveDamaged: a commit cannot be read.
    """
    known = known or {}
    paths = [found.path for found in place.list(COMMITS) if found.path.endswith(".json")]

    def read(path: str) -> Commit | None:
        if path in known:
            return known[path]
        try:
            return opened(place.read(path), path)
        except FileNotFoundError:  # replaced by another in this moment
            return None

    with ThreadPoolExecutor(8) as pool:
        read_all = dict(zip(paths, pool.map(read, paths), strict=True))
    if None in read_all.values():
        return manifest(place, {path: commit for path, commit in read_all.items() if commit is not None})
    commits = {path: commit for path, commit in read_all.items() if commit is not None}
    return Manifest(commits, chain(commits.values()))


def chain(commits: Iterable[Commit]) -> tuple[Commit, ...]:
    """The way from sequence 1 that reaches farthest, over commits that follow each other without a gap.

    Where two ways lead to one place, the one whose last step is longer is taken: what was merged wins over its parts.
    """
    by_end: dict[int, Commit | None] = {0: None}
    for commit in sorted(commits, key=lambda one: (one.first, -one.last)):
        if commit.first - 1 in by_end:
            by_end.setdefault(commit.last, commit)
    way: list[Commit] = []
    at = by_end[max(by_end)]
    while at is not None:
        way.append(at)
        at = by_end[at.first - 1]
    return tuple(reversed(way))


def _seal(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _newer(path: str) -> ArchiveUnavailable:
    return ArchiveUnavailable(f"{path} was written by a later release", hint="upgrade Stigmergy")


def _damaged(path: str) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"the commit {path} cannot be read",
        hint="stig archive repair takes its events from the log again; or put a copy back",
    )
