"""Blobs in memory, for tests and for missions that live in one process."""

from __future__ import annotations

from workers.workspaces.port import digest_of, hex_of, missing, verified


class MemoryBlobs:
    """Keeps everything until the process ends."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """See `Blobs.put`."""
        digest = digest_of(data)
        self._kept[hex_of(digest)] = bytes(data)
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs.get`."""
        data = self._kept.get(hex_of(digest))
        if data is None:
            raise missing(digest)
        return verified(data, digest)

    def has(self, digest: str) -> bool:
        """See `Blobs.has`."""
        return hex_of(digest) in self._kept

    def damage(self, digest: str) -> None:
        """Turn one bit of a kept blob, so that tests can see the damage found."""
        data = self._kept[hex_of(digest)]
        self._kept[hex_of(digest)] = data[:-1] + bytes([data[-1] ^ 1])
