"""The environment a guest starts with: a handful of plain values, and what the caller adds. Nothing of the host's."""

from __future__ import annotations

from collections.abc import Mapping

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def guest_env(given: Mapping[str, str] | None, *, home: str, scratch: str) -> dict[str, str]:
    """PATH, HOME, TMPDIR, LANG and USER, overlaid with ``given``."""
    plain = {
        "PATH": SYSTEM_PATH,
        "HOME": home,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "USER": "guest",
        "LOGNAME": "guest",
    }
    return {**plain, **(given or {})}
