"""UUIDv7 identifiers (RFC 9562, section 5.7): sortable by time, and derivable from a cause."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from datetime import UTC, datetime

from schemas.errors import InvalidIdentifier

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:@~-]{0,127}")
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


def _format(milliseconds: int, rand_a: int, rand_b: int) -> str:
    value = (
        (milliseconds & (1 << 48) - 1) << 80 | _VERSION_7 | (rand_a & 0xFFF) << 64 | _VARIANT | rand_b & (1 << 62) - 1
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7() -> str:
    """A fresh UUIDv7 in its canonical text form, from this machine's clock and its entropy."""
    random = secrets.randbits(74)
    return _format(time.time_ns() // 1_000_000, random >> 62, random)


def process_name() -> str:
    """A token that no other process has: host, process id, and six random digits, for process ids come again."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname()).strip("-") or "host"
    return f"{host[:40]}-{os.getpid()}-{uuid7()[-6:]}"


def derive(cause: str, *labels: str) -> str:
    """The id of what follows from ``cause``: the same cause and labels always give the same id.

    It keeps the time of the cause, so that ids still sort by time; the remaining 74 bits are BLAKE2b of cause and
    labels. That is what makes publishing a decision twice harmless: the log knows the id already.

    Args:
        cause: a UUID in canonical form.
        labels: what tells apart the several things that follow from one cause.
    """
    digest = hashlib.blake2b("\x1f".join((cause, *labels)).encode(), digest_size=16).digest()
    bits = int.from_bytes(digest, "big")
    return _format(int(cause.replace("-", "")[:12], 16), bits >> 62, bits)


def instant_of(identifier: str) -> datetime:
    """The moment that a UUIDv7 carries, in UTC with millisecond resolution."""
    return datetime.fromtimestamp(int(identifier.replace("-", "")[:12], 16) / 1000, UTC)


def is_token(value: str) -> bool:
    """Whether :func:`token` takes it."""
    return _TOKEN.fullmatch(value) is not None


def token(value: str, what: str = "name") -> str:
    """``value`` if it can be one token of a subject and of a key, else :class:`InvalidIdentifier`.

    A token is 1 to 128 characters of ``A-Z a-z 0-9 _ : @ ~ -`` and begins with a letter or a digit.
    """
    if not is_token(value):
        shown = value if len(value) <= 60 else value[:57] + "…"
        raise InvalidIdentifier(
            f"{what} {shown!r} is not a valid identifier",
            hint="use 1 to 128 letters, digits, '-', '_', ':', '@' or '~', beginning with a letter or a digit",
        )
    return value
