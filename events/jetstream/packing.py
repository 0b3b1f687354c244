"""Large messages travel and are kept compressed: zstd, said by the header ``Content-Encoding``.

A thousand events in a frame say much the same a thousand times: they take a tenth of the space, and so does all that
is done with their bytes on the way: by the server, its disk, the network and the reader. See
``docs/decisions/0048-large-messages-are-compressed.md``.
"""

from __future__ import annotations

import threading

import zstandard

from schemas.headers import ENCODING

FROM = 8 * 1024
"""Bytes from which on a message is compressed; a smaller one gains less than it takes."""
MOST = 1024 * 1024
"""Bytes of a message as it was: what unpacks to more is not unpacked, and cannot be read."""
_ZSTD = ((ENCODING, "zstd"),)
_MAGIC = b"\x28\xb5\x2f\xfd"
"""How what zstd makes begins, and no JSON does: whoever reads need not look at headers."""
_LEVEL = 1


class _Tools(threading.local):
    """They may not be used by two threads at once, and making them takes as long as a small message."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_tools = _Tools()


def packed(payload: bytes) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """The bytes that travel, and the headers that say so. What is small, or gets no smaller, stays as it is."""
    if not FROM <= len(payload) <= MOST:  # what is too large is for the server to refuse, as it is
        return payload, ()
    smaller = _tools.compressor.compress(payload)
    return (smaller, _ZSTD) if len(smaller) < len(payload) else (payload, ())


def unpacked(raw: bytes) -> bytes:
    """The payload. Bytes that cannot be unpacked, or to too much, come back as they are: they are no event, and whoever
    decodes them says so."""
    if not raw.startswith(_MAGIC):
        return raw
    try:
        if not 0 < zstandard.frame_content_size(raw) <= MOST:
            return raw
        return _tools.decompressor.decompress(raw, allow_extra_data=False)
    except zstandard.ZstdError:
        return raw
