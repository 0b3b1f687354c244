"""Copies of blobs in an archive: ``blobs/<two digits>/<hash>``, the bare content, which ``sha256sum`` can check.

Events name blobs by their hashes wherever they like: as a payload that was left there, as the packs of a workspace in a
task's output. So whoever wants to know which ones an event needs looks for what has the form of a digest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from events.blobs.port import BlobMissing, BlobStore, verified
from projections.archive.errors import ArchiveDamaged
from projections.archive.places import PART, Place

BLOBS = "blobs"
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class BlobCopy:
    """One copy; ``size`` in bytes."""

    digest: str
    path: str
    size: int


def digests_in(raw: bytes) -> set[str]:
    """All that looks like the name of a blob; what is none is not found anywhere, and does no harm."""
    return {found.decode() for found in _DIGEST.findall(raw)}


class BlobCopies:
    """The copies in a place. Blocks: call it from a thread. Raises what :class:`Place` raises."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def has(self, digest: str) -> bool:
        """Whether there is a copy, sound or not."""
        try:
            self._place.open(_path(digest)).close()
        except FileNotFoundError:
            return False
        return True

    def keep(self, digest: str, content: bytes) -> None:
        """Keep the content of a blob; another copy of it is replaced."""
        self._place.write(_path(digest), content)

    def read(self, digest: str) -> bytes:
        """The content.

        Raises:
            BlobMissing: there is no copy.
            BlobCorrupt: it is not what was kept.
        """
        try:
            content = self._place.read(_path(digest))
        except FileNotFoundError:
            raise BlobMissing(f"the archive has no blob {digest}") from None
        return verified(content, digest)

    def all(self) -> Iterator[BlobCopy]:
        """Every copy, in no order; their content is not looked at."""
        for found in self._place.list(BLOBS):
            name = found.path.rpartition("/")[2]
            if not name.endswith(PART):
                yield BlobCopy(f"sha256:{name}", found.path, found.size)

    def damage(self) -> Iterator[str]:
        """What is wrong with copies, each in a line that names it."""
        for copy in self.all():
            try:
                self.read(copy.digest)
            except BlobMissing as error:
                yield f"{copy.path}: {error.message}"


async def put_back(copies: BlobCopies, blobs: BlobStore, digests: Iterable[str]) -> tuple[list[str], list[str]]:
    """Give the store what it lacks of these blobs; returns those that were put back, and those that nobody has.

    Raises:
        ArchiveDamaged: a copy is not what was kept.
        LogUnavailable, ArchiveUnavailable: one of both does not answer.
    """
    done: list[str] = []
    nowhere: list[str] = []
    for digest in digests:
        if await blobs.renew(digest):
            continue
        try:
            content = await asyncio.to_thread(copies.read, digest)
        except BlobMissing as error:
            if error.code != BlobMissing.code:
                raise ArchiveDamaged(error.message, hint="put a copy of the file back") from error
            nowhere.append(digest)
            continue
        await blobs.put(content)
        done.append(digest)
    return done, nowhere


def _path(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    return f"{BLOBS}/{name[:2]}/{name}"
