"""Removing what does not count: files of batches that were never committed, commits that were merged into others."""

from __future__ import annotations

import time

from projections.archive.commits import COMMITS, manifest
from projections.archive.places import PART, Place

GRACE_S = 3600.0
"""Younger files are left alone: somebody may be about to commit them. Who needs longer has to give up."""


def sweep(place: Place, *, older_than_s: float = GRACE_S) -> list[str]:
    """Remove leftovers; returns their paths. Files that any commit names stay, and so do commits behind a gap."""
    present = place.list("")
    found = manifest(place)  # after the listing: what was committed meanwhile is not taken for a leftover
    latest = time.time() - older_than_s
    counting = set(map(id, found.chain))
    merged = {path for path, commit in found.commits.items() if id(commit) not in counting and commit.last <= found.end}
    named = {file.path for path, commit in found.commits.items() if path not in merged for file in commit.files}
    gone = [
        file.path
        for file in present
        if file.changed <= latest
        and (
            file.path in merged
            or (file.path.startswith((f"{COMMITS}/", "tenant=")) and file.path.endswith(PART))
            or (file.path.startswith("tenant=") and file.path.endswith(".parquet") and file.path not in named)
        )
    ]
    # Commits first: a commit without its files would be damage, files without a commit are only leftovers.
    for path in sorted(gone, key=lambda path: not path.startswith(f"{COMMITS}/")):
        place.remove(path)
    return gone
