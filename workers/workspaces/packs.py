"""Trees travel as git packs, one blob each: what the base lacks, or everything when the chain has grown long."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.errors import PayloadTooLarge
from schemas.workspaces import MAX_PACKS, Snapshot
from workers.workspaces.cache import Cache
from workers.workspaces.git import Git
from workers.workspaces.port import BlobCorrupt, Blobs, hex_of, verified

# No search for deltas: packs are quick to make and the same on every machine of one git version. Each stands for itself
# (no `--thin`), so that they can be taken in in any order.
_PACK = ("pack-objects", "--revs", "--stdout", "-q", "--window=0")


def publish(git: Git, blobs: Blobs, tree: str, base: Snapshot | None) -> tuple[str, ...]:
    """Put what others lack to rebuild ``tree``; returns all packs it takes, oldest first, at most `MAX_PACKS`.

    ``base`` must be whole in the cache.
    """
    chain = base.packs if base is not None and len(base.packs) < MAX_PACKS else ()
    wanted = f"{tree}\n" + (f"^{base.tree}\n" if base is not None and chain else "")
    pack = git.run(*_PACK, feed=wanted.encode())
    if chain and int.from_bytes(pack[8:12], "big") == 0:  # the header's count: the base has everything, as a subtree
        return chain
    return (*chain, blobs.put(pack))


def fetch(cache: Cache, git: Git, blobs: Blobs, snapshots: Iterable[Snapshot], max_bytes: int) -> None:
    """See that these trees are whole in the cache; only packs that it lacks are read from ``blobs``.

    Raises:
        BlobMissing, BlobCorrupt: a pack is gone or damaged, or the packs do not make up the tree.
        PayloadTooLarge: a snapshot is over the limit.
    """
    for snapshot in snapshots:
        if snapshot.size_bytes > max_bytes:
            raise PayloadTooLarge(f"the workspace {snapshot.tree[:12]} has more than {max_bytes} bytes")
        if cache.has_tree(snapshot.tree):
            continue
        for digest in snapshot.packs:
            _take_pack(cache, git, blobs, digest)
        _check_whole(git, snapshot)
        cache.remember_tree(snapshot.tree)


def _take_pack(cache: Cache, git: Git, blobs: Blobs, digest: str) -> None:
    name = hex_of(digest)
    if cache.has_pack(name):
        return
    data = verified(blobs.get(digest), digest)
    answer = git.ask("index-pack", "--stdin", feed=data)
    if answer.code != 0:
        raise BlobCorrupt(f"the blob {digest} is no pack: {answer.err.strip()[-200:]}", hint="run the task again")
    cache.remember_pack(name)


def _check_whole(git: Git, snapshot: Snapshot) -> None:
    answer = git.ask("rev-list", "--objects", "--quiet", snapshot.tree)
    if answer.code != 0:
        raise BlobCorrupt(
            f"the packs of the workspace {snapshot.tree[:12]} do not make it up: {answer.err.strip()[-200:]}",
            hint="run the task that made it again",
        )
