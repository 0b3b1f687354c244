"""Whether two claims to files can mean the same place.

A claim is a pattern of :func:`fnmatch.fnmatchcase` over POSIX paths, optionally with ``::`` and the dotted name of a
symbol behind it: ``src/*.py``, ``src/money.py::Money.add``. Two claims overlap if some path fits both patterns and,
where both name a symbol, one symbol is the other or lies inside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

_WILD = frozenset("*?[")
_ANY = ""
_STAR = "*"


def overlapping(these: Iterable[str], those: Iterable[str]) -> str | None:
    """The first of ``these`` claims that overlaps one of ``those``; None if there is none."""
    others = tuple(those)
    return next((one for one in these if any(_overlap(one, other) for other in others)), None)


@lru_cache(maxsize=65_536)
def _overlap(one: str, other: str) -> bool:
    path, _, symbol = one.partition("::")
    other_path, _, other_symbol = other.partition("::")
    if symbol and other_symbol and not _inside(symbol, other_symbol) and not _inside(other_symbol, symbol):
        return False
    return _share(path, other_path)


def _inside(symbol: str, outer: str) -> bool:
    return symbol == outer or symbol.startswith(f"{outer}.")


def _share(one: str, other: str) -> bool:
    """Whether some text fits both patterns."""
    if not _WILD & set(one):
        return fnmatchcase(one, other) if _WILD & set(other) else one == other
    if not _WILD & set(other):
        return fnmatchcase(other, one)
    return _both_wild(_tokens(one), _tokens(other))


def _both_wild(one: list[str], other: list[str]) -> bool:
    """The two patterns as automata, walked side by side: ``row[j]`` says whether ``one[i:]`` and ``other[j:]`` share.

    Linear in the product of their lengths. Not taken: a regular expression of the intersection, which Python has not.
    """
    below: list[bool] = []
    for i in range(len(one), -1, -1):
        row = [False] * (len(other) + 1)
        for j in range(len(other), -1, -1):
            row[j] = _step(one, other, i, j, row, below)
        below = row
    return below[0]


def _step(one: list[str], other: list[str], i: int, j: int, row: list[bool], below: list[bool]) -> bool:
    ends, other_ends = i == len(one), j == len(other)
    if ends and other_ends:
        return True
    if not ends and one[i] == _STAR:
        return below[j] or (not other_ends and row[j + 1])
    if not other_ends and other[j] == _STAR:
        return row[j + 1] or (not ends and below[j])
    if ends or other_ends:
        return False
    return _fit(one[i], other[j]) and below[j + 1]


def _fit(token: str, other: str) -> bool:
    return _ANY in (token, other) or token == other


def _tokens(pattern: str) -> list[str]:
    """Characters, ``*``, and the empty text for "any one character". A set ``[…]`` counts as any: to wait once too
    often is harmless, to overlook a clash is not."""
    tokens: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        end = pattern.find("]", at + 2) if character == "[" else -1
        if character == "[" and end > 0:
            tokens.append(_ANY)
            at = end
        else:
            tokens.append(_ANY if character == "?" else character)
        at += 1
    return tokens
