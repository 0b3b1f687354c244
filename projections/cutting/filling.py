"""From places in a frame to columns: texts one after another, and times as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from projections.cutting.compiled import begin_of, compiled, copy

Array = np.ndarray[Any, np.dtype[Any]]
_COLON, _MINUS, _DOT = 58, 45, 46
_NO_TIME = -(2**62)
_TIME = 27
"""Characters of a time as we write it."""
_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@compiled
def texts(frame: Array, begins: Array, ends: Array, offsets: Array, held: Array) -> None:
    """Texts one after another, and where each begins. There has to be room."""
    raw, starts, stops = begin_of(frame), begin_of(begins), begin_of(ends)
    borders, target = begin_of(offsets), begin_of(held)
    at = 0
    for event in range(len(begins)):
        borders[event] = at
        length = stops[event] - starts[event]
        copy(target, at, raw, starts[event], length)
        at += length
    borders[len(begins)] = at


@compiled
def _two(raw: Array, at: int) -> int:
    """A number of two digits; far below zero if they are none."""
    return raw[at] * 10 + raw[at + 1] - 528 if 48 <= raw[at] <= 57 and 48 <= raw[at + 1] <= 57 else -1_000_000


@compiled
def _day(raw: Array, at: int) -> int:
    """Days since 1970 of a date; see http://howardhinnant.github.io/date_algorithms.html#days_from_civil"""
    year, month, day = _two(raw, at) * 100 + _two(raw, at + 2), _two(raw, at + 5), _two(raw, at + 8)
    if raw[at + 4] != _MINUS or raw[at + 7] != _MINUS or year < 1 or not 1 <= month <= 12 or day < 1:
        return _NO_TIME
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS[month] + (1 if leap and month == 2 else 0):
        return _NO_TIME
    if month <= 2:
        year -= 1
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719_468


@compiled
def _micros(raw: Array, at: int) -> int:
    """Microseconds since 1970 of a time as :func:`schemas.envelope.rfc3339` writes it, or ``_NO_TIME``."""
    day = _day(raw, at)
    hour, minute, second = _two(raw, at + 11), _two(raw, at + 14), _two(raw, at + 17)
    below = _two(raw, at + 20) * 10_000 + _two(raw, at + 22) * 100 + _two(raw, at + 24)
    signs = raw[at + 13] == _COLON and raw[at + 16] == _COLON and raw[at + 19] == _DOT
    if day == _NO_TIME or not signs or raw[at + 10] != 84 or raw[at + 26] != 90:  # T, Z
        return _NO_TIME
    if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59 or below < 0:
        return _NO_TIME
    return ((day * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + below


@compiled
def times(frame: Array, begins: Array, ends: Array, micros: Array) -> bool:
    """Microseconds since 1970 of times; False if one of them is not as :func:`schemas.envelope.rfc3339` writes it."""
    raw, starts, stops, held = begin_of(frame), begin_of(begins), begin_of(ends), begin_of(micros)
    for event in range(len(begins)):
        found = _micros(raw, starts[event]) if stops[event] - starts[event] == _TIME else _NO_TIME
        if found == _NO_TIME:
            return False
        held[event] = found
    return True
