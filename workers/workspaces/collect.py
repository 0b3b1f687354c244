"""Clean the cache: one pack of what is still wanted, and nothing else.

`git gc` was the other road: it goes by the age of single objects, so a tree that is used every day could lose a part
that was written long ago. Here a tree stays or goes as a whole, by its last use.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from pathlib import Path

from workers.workspaces.cache import Cache
from workers.workspaces.git import Git

_PACK = ("pack-objects", "--revs", "-q", "--window=0")


def collect(cache: Cache, keep: Collection[str], older_than_s: float) -> int:
    """Drop trees not in ``keep`` whose last use is older than this; returns the bytes freed on disk (may be negative).

    It waits for all others to leave the cache, and lets nobody in meanwhile.
    """
    with cache.alone() as git:
        before = _weight(cache.folder)
        limit = time.time() - older_than_s
        known = cache.trees()
        stay = {tree for tree, used in known.items() if tree in keep or used > limit}
        _keep_only(git, cache.folder / "objects", stay)
        cache.forget(set(known) - stay)
        for report in cache.folder.glob("fast_import_crash_*"):
            report.unlink()
        return before - _weight(cache.folder)


def _keep_only(git: Git, objects: Path, trees: Collection[str]) -> None:
    """Write the new pack first, then delete: whoever pulls the plug between the two loses nothing."""
    name = ""
    if trees:
        feed = "".join(f"{tree}\n" for tree in sorted(trees)).encode()
        name = git.run(*_PACK, str(objects / "pack" / "pack"), feed=feed).decode().strip()
    for file in (objects / "pack").iterdir():
        if file.stem != f"pack-{name}":
            file.unlink()
    for shard in objects.iterdir():
        if len(shard.name) == 2:
            shutil.rmtree(shard)


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
