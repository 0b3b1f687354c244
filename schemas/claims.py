"""How a claim to files is written: a pattern of paths, and behind ``::`` the symbol that is meant, if not the whole."""

from __future__ import annotations

from collections.abc import Iterable


def paths_of(claims: Iterable[str]) -> tuple[str, ...]:
    """The path patterns of claims, without their symbols, each once."""
    return tuple(dict.fromkeys(claim.partition("::")[0] for claim in claims))
