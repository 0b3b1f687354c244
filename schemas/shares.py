"""Limits and shares as people write them: ``code=2/s,test=30/m`` and ``acme=3,beta=1``."""

from __future__ import annotations

import re

from schemas.errors import InvalidInput
from schemas.ids import token

_RATE = re.compile(r"([^=\s]+)=([0-9]+(?:\.[0-9]+)?)/(s|m|h)")
_WEIGHT = re.compile(r"([^=\s]+)=([0-9]+(?:\.[0-9]+)?)")
_BOUNDS = re.compile(r"([^:\s]+):([0-9]{1,4})\.\.([0-9]{1,4})")
_MOST_WORKERS = 256
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rates(text: str) -> dict[str, float]:
    """Attempts a second by skill. Raises :class:`InvalidInput`."""
    rates: dict[str, float] = {}
    for part in _parts(text):
        match = _RATE.fullmatch(part)
        if match is None or float(match[2]) <= 0:
            raise InvalidInput(f"{part!r} is no rate", hint="write skill=NUMBER/s, /m or /h, for instance code=2/s")
        rates[token(match[1], "skill")] = float(match[2]) / _SECONDS[match[3]]
    return rates


def parse_weights(text: str) -> dict[str, float]:
    """Shares by tenant. Raises :class:`InvalidInput`."""
    weights: dict[str, float] = {}
    for part in _parts(text):
        match = _WEIGHT.fullmatch(part)
        if match is None or not 0.01 <= float(match[2]) <= 100:
            raise InvalidInput(f"{part!r} is no weight", hint="write tenant=NUMBER between 0.01 and 100")
        weights[token(match[1], "tenant")] = float(match[2])
    return weights


def parse_bounds(text: str) -> dict[str, tuple[int, int]]:
    """Least and most workers by skill, from ``test:0..4,code:1..2``. Raises :class:`InvalidInput`."""
    bounds: dict[str, tuple[int, int]] = {}
    for part in _parts(text):
        match = _BOUNDS.fullmatch(part)
        if match is None or not int(match[2]) <= int(match[3]) <= _MOST_WORKERS or not int(match[3]):
            raise InvalidInput(
                f"{part!r} bounds nothing",
                hint=f"write skill:LEAST..MOST, for instance test:0..4; at most {_MOST_WORKERS}",
            )
        bounds[token(match[1], "skill")] = (int(match[2]), int(match[3]))
    return bounds


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
