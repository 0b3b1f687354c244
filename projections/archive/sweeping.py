"""Removing what does not count: files of batches that were never committed, commits that were merged into others."""

from __future__ import annotations

import time
from collections.abc import Callable

from projections.archive.blobs import BLOBS
from projections.archive.commits import COMMITS, manifest
from projections.archive.places import PART, Place
from schemas.errors import TimedOut

GRACE_S = 3600.0
"""Younger files are left alone: somebody may be about to commit them. Who needs longer has to give up."""


Clock = Callable[[], float]
"""The calendar, in seconds of the POSIX epoch."""


class Unswept:
    """The time since the first file of a commit was written, until the commit names it.

    Looked at by two clocks. Ages of files are by the calendar, which may jump meanwhile: then they are old for whoever
    sweeps, however short it took.
    """

    def __init__(self, calendar: Clock = time.time) -> None:
        self._calendar = calendar
        self._since, self._dated = time.monotonic(), calendar()

    def check(self) -> None:
        """Raises :class:`TimedOut` well before the files would be swept, or if they may have been."""
        if max(time.monotonic() - self._since, self._calendar() - self._dated) > GRACE_S / 2:
            raise TimedOut("writing took so long, by one of two clocks, that the files may be gone", hint="try again")


def sweep(place: Place, *, older_than_s: float = GRACE_S) -> list[str]:
    """Remove leftovers; returns their paths. Files that any commit names stay, and so do commits behind a gap."""
    present = place.list("")
    found = manifest(place)  # after the listing: what was committed meanwhile is not taken for a leftover
    # The place dates its files by a clock of its own. If ours is ahead, all that is being written would be old; and if
    # its clock was ahead once, there are files from the future.
    latest = min(time.time(), max((file.changed for file in present), default=0.0)) - older_than_s
    counting = set(map(id, found.chain))
    merged = {path for path, commit in found.commits.items() if id(commit) not in counting and commit.last <= found.end}
    named = {file.path for path, commit in found.commits.items() if path not in merged for file in commit.files}
    gone = [
        file.path
        for file in present
        if file.changed <= latest
        and (
            file.path in merged
            or (file.path.startswith((f"{COMMITS}/", f"{BLOBS}/", "tenant=")) and file.path.endswith(PART))
            or (file.path.startswith("tenant=") and file.path.endswith(".parquet") and file.path not in named)
        )
    ]
    # Commits first: a commit without its files would be damage, files without a commit are only leftovers.
    for path in sorted(gone, key=lambda path: not path.startswith(f"{COMMITS}/")):
        place.remove(path)
    return gone
