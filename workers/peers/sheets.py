"""Questions and answers as they travel: small ones in the message, large ones at the blob store."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from schemas.errors import InvalidInput, LimitExceeded
from schemas.peers import INLINE_BYTES, MOST_BYTES, Sheet


class Blobs(Protocol):
    """Content that all machines share."""

    def put(self, data: bytes) -> str: ...

    def get(self, digest: str) -> bytes: ...


def plain_object(value: Any, what: str) -> dict[str, Any]:
    """A value as the JSON object that it is.

    Raises:
        InvalidInput: it is none.
        LimitExceeded: it is larger than 4 MiB.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be a dict, not {type(value).__name__}")
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is no JSON: {error}") from error
    if len(encoded) > MOST_BYTES:
        hint = "put it into the workspace, or into the task's output, and name it"
        raise LimitExceeded(f"{what} takes {len(encoded) // 1024} KiB, {MOST_BYTES // 1024} are allowed", hint=hint)
    plain: dict[str, Any] = msgspec.json.decode(encoded)
    return plain


def packed(value: dict[str, Any], blobs: Blobs) -> Sheet:
    """A JSON object, ready to travel."""
    encoded = msgspec.json.encode(value)
    return Sheet(value) if len(encoded) <= INLINE_BYTES else Sheet(digest=blobs.put(encoded))


def unpacked(sheet: Sheet, blobs: Blobs) -> dict[str, Any]:
    """The object that arrived. Raises :class:`~events.blobs.port.BlobMissing`, or InvalidInput for what is none."""
    if not sheet.digest:
        return sheet.value
    try:
        found: dict[str, Any] = msgspec.json.decode(blobs.get(sheet.digest), type=dict[str, Any])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InvalidInput(f"what travelled as {sheet.digest[:20]} is no JSON object: {error}") from error
    return found
