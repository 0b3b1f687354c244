"""The blob store as others see it."""

from __future__ import annotations

import hashlib
from typing import Protocol

from schemas.errors import InvalidInput


class BlobMissing(InvalidInput):
    """No blob with this digest is kept."""

    code = "blob_missing"


class BlobCorrupt(BlobMissing):
    """The bytes that came back are not those that were put: as good as missing."""

    code = "blob_corrupt"


class BlobStore(Protocol):
    """Immutable content under ``sha256:<hex>``. Putting the same content twice stores it once."""

    async def put(self, data: bytes) -> str:
        """Store, and return the digest."""

    async def get(self, digest: str) -> bytes:
        """The content. Raises :class:`BlobMissing`, or :class:`BlobCorrupt` if it does not match its digest."""

    async def has(self, digest: str) -> bool: ...

    async def renew(self, digest: str) -> bool:
        """Whether it is there; then it counts as if it were put now, and is not collected before a day is over."""


def digest_of(data: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def verified(data: bytes, digest: str) -> bytes:
    """``data`` if it has this digest. Raises :class:`BlobCorrupt`."""
    if digest_of(data) != digest:
        raise BlobCorrupt(f"blob {digest} is damaged", hint="restore it from a replica or an archive")
    return data
