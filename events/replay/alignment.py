"""Two missions side by side: which event of the one is which of the other, and where they part.

Events are paired by (type, subject, occurrence): the order among parallel tasks differs from run to run and means
nothing, while the third ``tool.called`` of a task is the third in every run. What differs in every run, such as times,
ids and names of workers, is left out of the comparison.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from schemas.envelope import Event
from schemas.errors import InvalidEvent

_VOLATILE = frozenset(
    {
        "tenant", "mission", "cause", "correlation", "traceparent", "worker", "host", "pid", "submitted_by", "because",
        "queue", "priority", "planned_at", "not_before", "duration_s", "seconds", "elapsed_s", "fraction", "silent_s",
    }
)  # fmt: skip

_WATCHED = frozenset({"attempt.progressed"})
"""Told by the clock, for people to watch: how many there are says how busy a machine was."""
_DURATION = re.compile(r"\b\d+\.\d+ ?s\b")


class Key(NamedTuple):
    """What pairs events: the n-th, from 1, of this type about this subject."""

    type: str
    subject: str
    occurrence: int


class Parting(Struct, frozen=True):
    """One event that the other mission does not have, or has differently.

    Attributes:
        a, b: its number in each mission, from 1; None where it is missing.
        fields: ``path: value ≠ value`` for what differs, at most a handful.
    """

    key: Key
    a: int | None
    b: int | None
    fields: tuple[str, ...] = ()


def keyed(events: Sequence[Event]) -> dict[Key, int]:
    """Key of every event that is compared to its place, from 0."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Key, int] = {}
    for place, event in enumerate(events):
        if event.type in _WATCHED:
            continue
        what = event.type, event.subject or ""
        seen[what] += 1
        found[Key(*what, seen[what])] = place
    return found


def partings(a: Sequence[Event], b: Sequence[Event]) -> list[Parting]:
    """Every event in which the missions differ; the first is where they part."""
    left, right = keyed(a), keyed(b)
    found: list[tuple[float, Parting]] = []
    for key, place in left.items():
        other = right.get(key)
        if other is None:
            found.append((place, Parting(key, place + 1, None)))
        elif fields := differing(_content(a[place]), _content(b[other])):
            found.append((min(place, other), Parting(key, place + 1, other + 1, fields)))
    found += [(place + 0.5, Parting(key, None, place + 1)) for key, place in right.items() if key not in left]
    return [parting for _, parting in sorted(found, key=lambda each: (each[0], each[1].key))]


def differing(one: Any, other: Any, most: int = 8) -> tuple[str, ...]:
    """Paths at which two JSON values differ, with both values in short."""
    found: list[str] = []
    _compare(one, other, "", found, most)
    return tuple(found)


def _compare(one: Any, other: Any, path: str, found: list[str], most: int) -> None:
    if one == other or len(found) >= most:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys(), key=str):
            _compare(one.get(name), other.get(name), f"{path}.{name}" if path else str(name), found, most)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            _compare(left, right, f"{path}[{place}]", found, most)
    else:
        found.append(f"{path or 'value'}: {_short(one)} ≠ {_short(other)}")


def steady(value: Any) -> Any:
    """A JSON value without what differs from run to run; durations in texts, as test runners print, are blanked."""
    if isinstance(value, str):
        return _DURATION.sub("… s", value)
    if isinstance(value, dict):
        return {name: steady(inner) for name, inner in value.items() if name not in _VOLATILE}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def _content(event: Event) -> Any:
    try:
        return steady(event.data_as_dict())
    except InvalidEvent:
        return bytes(event.data).decode("utf-8", "replace")


def _short(value: Any, most: int = 60) -> str:
    shown = "nothing" if value is None else repr(value)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
