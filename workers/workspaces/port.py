"""Where the packs of workspaces are shared: immutable bytes under the name of their content."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from events.blobs.port import BlobCorrupt as BlobCorrupt
from events.blobs.port import BlobMissing as BlobMissing
from events.blobs.port import digest_of as digest_of
from schemas.errors import InvalidInput

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@runtime_checkable
class Blobs(Protocol):
    """Immutable bytes, named by their SHA-256. Putting the same bytes twice is harmless."""

    def put(self, data: bytes) -> str:
        """Keep ``data`` and return its digest, ``sha256:`` and 64 hexadecimal digits. A damaged copy is mended.

        Raises:
            DiskFull: there is no room for it.
        """

    def get(self, digest: str) -> bytes:
        """The bytes of this digest.

        Raises:
            BlobMissing: there are none.
            BlobCorrupt: they are damaged.
            InvalidInput: ``digest`` is no digest.
        """

    def has(self, digest: str) -> bool:
        """Whether something is kept under this digest; its content is not read."""


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of a digest, safe as a file name; InvalidInput when it is none."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidInput(f"{digest[:80]!r} is no digest", hint="a digest is sha256: and 64 hexadecimal digits")
    return match[1]


def verified(data: bytes, digest: str) -> bytes:
    """``data`` if it is what ``digest`` names, else BlobCorrupt."""
    if digest_of(data) != digest:
        raise BlobCorrupt(
            f"the blob {digest} is damaged: its {len(data)} bytes have another checksum",
            hint="put the snapshot again from a machine that still has it, or run the task again",
        )
    return data


def missing(digest: str) -> BlobMissing:
    """The error for a digest that nobody put."""
    return BlobMissing(f"there is no blob {digest}", hint="it may have been collected: run the task that made it again")
