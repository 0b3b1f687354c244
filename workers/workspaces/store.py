"""The front of workspaces: one store per machine, any number of processes, shared blobs between machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from schemas.workspaces import Change, Merged, Snapshot
from workers.workspaces import applying, checkout, compare, merging
from workers.workspaces.cache import Cache
from workers.workspaces.collect import collect
from workers.workspaces.git import Git, GitFailed
from workers.workspaces.intake import Taken, take_in
from workers.workspaces.packs import fetch, publish
from workers.workspaces.port import Blobs
from workers.workspaces.walk import Limits, walk


class WorkspaceStore:
    """Snapshots of file trees, by content.

    Every method may raise ToolMissing (git is absent or older than 2.38), DiskFull, TimedOut, and GitFailed when the
    cache is damaged. Methods that take a snapshot may raise BlobMissing and BlobCorrupt.

    Args:
        cache: folder of the local git repository; made when first used, rebuilt from ``blobs`` after it was deleted.
        blobs: where the packs are shared.
        limits: of a tree, when it is taken and when it is laid out.
        git: the git program.
    """

    def __init__(self, cache: Path, blobs: Blobs, *, limits: Limits | None = None, git: str = "git") -> None:
        self._cache = Cache(cache, git)
        self._blobs = blobs
        self._limits = limits or Limits()

    def snapshot(self, folder: Path, *, base: Snapshot | None = None) -> Snapshot:
        """Take the files below ``folder`` as they are, and share what is not in ``base``.

        Kept: content byte for byte (ignored files too), the executable bit, symlinks as symlinks. Not kept: empty
        folders, times, owners, other modes, sockets and pipes, ``.git`` at any depth, caches of tools (`walk.NOISE`).

        Raises:
            InvalidInput, Conflict, LimitExceeded, PayloadTooLarge: see `walk`.
        """
        with self._cache.shared() as git:
            if base is not None:
                self._fetch(git, base)
            with self._cache.importing(), closing(walk(folder, self._limits)) as entries:
                taken = take_in(git, entries)
            return self._publish(git, taken, base)

    def materialise(self, snapshot: Snapshot, folder: Path) -> None:
        """Lay the snapshot out in ``folder``, which must be empty or absent; on an error it is empty again.

        Raises:
            InvalidInput: ``folder`` is a symlink, no folder, or not empty.
            PayloadTooLarge: it is over the limit.
        """
        with self._cache.shared() as git:
            self._fetch(git, snapshot)
            try:
                checkout.lay_out(self._cache, git, snapshot.tree, folder)
            except GitFailed:  # the cache may have lost objects, say to a power cut: fetch all anew, then try once more
                self._cache.doubt(snapshot)
                self._fetch(git, snapshot)
                checkout.lay_out(self._cache, git, snapshot.tree, folder)

    def changed(self, base: Snapshot, other: Snapshot) -> tuple[Change, ...]:
        """Every path that differs, sorted by bytes. A rename is a deletion and an addition."""
        if base.tree == other.tree:
            return ()
        with self._cache.shared() as git:
            self._fetch(git, base, other)
            return compare.changes(git, base.tree, other.tree)

    def patch(self, base: Snapshot, other: Snapshot) -> str:
        """A patch from ``base`` to ``other`` for `apply` and ``git apply``; empty when they are equal."""
        if base.tree == other.tree:
            return ""
        with self._cache.shared() as git:
            self._fetch(git, base, other)
            return compare.patch(self._cache, git, base.tree, other.tree)

    def apply(self, patch: str, folder: Path) -> None:
        """Apply a patch to a folder, all of it or nothing; that folder may be a git repository or lie in one.

        Raises:
            Conflict: files do not fit; the message names them.
            InvalidInput: no folder, or no patch that may be applied.
        """
        with self._cache.shared() as git:
            applying.apply(git, patch, folder)

    def merge(self, base: Snapshot, sides: Sequence[Snapshot]) -> Merged:
        """Merge what each side changed since ``base``, in the order given; a side that conflicts is left out."""
        with self._cache.shared() as git:
            self._fetch(git, base, *sides)
            outcome = merging.merge(self._cache, git, base.tree, [side.tree for side in sides])
            for known in (base, *sides):
                if known.tree == outcome.tree:
                    return Merged(snapshot=known, conflicts=outcome.conflicts)
            merged = self._publish(git, _measure(git, outcome.tree), base)
            return Merged(snapshot=merged, conflicts=outcome.conflicts)

    def collect(self, keep: Iterable[Snapshot], older_than_s: float) -> int:
        """Drop from the local cache what is not in ``keep`` and was not used for this long; returns bytes freed.

        Shared blobs are not touched: a dropped snapshot is fetched again when it is wanted.
        """
        return collect(self._cache, {snapshot.tree for snapshot in keep}, older_than_s)

    def _fetch(self, git: Git, *snapshots: Snapshot) -> None:
        fetch(self._cache, git, self._blobs, snapshots, self._limits.size_bytes)

    def _publish(self, git: Git, taken: Taken, base: Snapshot | None) -> Snapshot:
        if base is not None and base.tree == taken.tree:
            return base
        packs = publish(git, self._blobs, taken.tree, base)
        self._cache.remember_tree(taken.tree)
        return Snapshot(tree=taken.tree, packs=packs, files=taken.files, size_bytes=taken.size_bytes)


def _measure(git: Git, tree: str) -> Taken:
    """Count the files of a tree that git made itself. A submodule, which only foreign trees have, has no size."""
    sizes = git.run("ls-tree", "-r", "-z", "--format=%(objectsize)", tree).split(b"\0")[:-1]
    return Taken(tree, len(sizes), sum(int(size) for size in sizes if size.isdigit()))
