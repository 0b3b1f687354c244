"""Blobs in a dictionary, for unit tests."""

from __future__ import annotations

from events.blobs.port import BlobMissing, digest_of


class MemoryBlobs:
    """A :class:`~events.blobs.port.BlobStore` that forgets when the process ends."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        digest = digest_of(data)
        self._content[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        try:
            return self._content[digest]
        except KeyError:
            raise BlobMissing(f"no blob {digest}") from None

    async def has(self, digest: str) -> bool:
        return digest in self._content

    async def renew(self, digest: str) -> bool:
        return digest in self._content
