"""Two missions side by side: which event of the one is which of the other, and where they part.

Events are paired by (type, subject, occurrence): the order among parallel tasks differs from run to run and means
nothing, while the third ``tool.called`` of a task is the third in every run. What differs in every run, such as times,
ids and names of workers, is left out of the comparison.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from msgspec import Struct

from schemas.envelope import Event
from schemas.errors import InvalidEvent

_VOLATILE = frozenset(
    {
        "tenant", "mission", "cause", "correlation", "traceparent", "worker", "host", "pid", "submitted_by", "because",
        "queue", "priority", "planned_at", "not_before", "duration_s", "seconds", "elapsed_s", "fraction", "silent_s",
        "forked_from", "cpu_s", "peak_memory_bytes",
    }
)  # fmt: skip

_WATCHED = frozenset({"attempt.progressed", "mission.forked"})
"""Not compared: told by the clock, for people to watch, so that how many there are says how busy a machine was; and the
declaration of a fork, whose consequences are."""
_ADOPTED = "task.adopted"
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


def keyed(events: Sequence[Event], left_out: Container[str] = ()) -> dict[Key, int]:
    """Key of every event that is compared to its place, from 0; but for those about the subjects left out."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Key, int] = {}
    for place, event in enumerate(events):
        if event.type in _WATCHED or (event.subject in left_out and not event.type.startswith("goal.")):
            continue
        what = event.type, event.subject or ""
        seen[what] += 1
        found[Key(*what, seen[what])] = place
    return found


def partings(a: Sequence[Event], b: Sequence[Event]) -> list[Parting]:
    """Every event in which the missions differ; the first is where they part.

    They are in the order of ``a``; what only ``b`` has comes after what it followed there.
    """
    ours, theirs = endings(a), endings(b)
    adopted = {task for side in (ours, theirs) for task, ending in side.items() if ending.adopted}
    left, right = keyed(a, adopted), keyed(b, adopted)
    found = list(_of_adopted(adopted, ours, theirs))
    for key, place in left.items():
        other = right.get(key)
        if other is None:
            found.append(Parting(key, place + 1, None))
        elif fields := differing(_content(a[place]), _content(b[other])):
            found.append(Parting(key, place + 1, other + 1, fields))
    found += [Parting(key, None, place + 1) for key, place in right.items() if key not in left]
    pairs = [(other, left[key]) for key, other in right.items() if key in left]
    pairs += [(ending.place, ours[task].place) for task, ending in theirs.items() if task in adopted & ours.keys()]
    return _in_order(found, sorted(pairs))


def _in_order(found: list[Parting], pairs: list[tuple[int, int]]) -> list[Parting]:
    """``pairs`` are places in b, rising, with their places in a."""
    places, farthest = [other for other, _ in pairs], list(accumulate((place for _, place in pairs), max))

    def order(parting: Parting) -> tuple[float, Key]:
        if parting.a is not None:
            return parting.a - 1, parting.key
        before = bisect_left(places, (parting.b or 1) - 1)
        return (farthest[before - 1] + 0.5 if before else -0.5), parting.key

    return sorted(found, key=order)


class Ending(Struct, frozen=True):
    """How a task ended: the place of the event that said so, from 0, and what came of it."""

    place: int
    outcome: Any
    adopted: bool = False


def endings(events: Sequence[Event]) -> dict[str, Ending]:
    """Task to its last end. What was taken over has an end here and no attempts."""
    words: dict[str, Any] = {}
    found: dict[str, Ending] = {}
    for place, event in enumerate(events):
        task = event.subject or ""
        if event.type == "attempt.finished":
            words[task] = _content(event)
        elif event.type == "task.succeeded":
            found[task] = Ending(place, {"output": _part(words.get(task), "output") or {}})
        elif event.type == "task.failed":
            found[task] = Ending(place, {"failure": _part(_content(event), "failure")})
        elif event.type == _ADOPTED:
            said = _content(event)
            failure = _part(said, "failure")
            outcome = {"failure": failure} if failure else {"output": _part(said, "output") or {}}
            found[task] = Ending(place, outcome, adopted=True)
    return found


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _of_adopted(adopted: Iterable[str], ours: dict[str, Ending], theirs: dict[str, Ending]) -> Iterator[Parting]:
    """Tasks that one side has not executed are compared by what came of them."""
    for task in sorted(adopted):
        one, other = ours.get(task), theirs.get(task)
        fields = differing(one.outcome if one else None, other.outcome if other else None)
        if fields:
            here = one.place + 1 if one is not None else None
            yield Parting(Key(_ADOPTED, task, 1), here, other.place + 1 if other is not None else None, fields)


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
        kept = ((name, inner, steady(inner)) for name, inner in value.items() if name not in _VOLATILE)
        # What held nothing but such things is as if it had not been said, which is how empty fields travel.
        return {name: now for name, before, now in kept if now != {} or before == {}}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def _content(event: Event) -> Any:
    try:
        return steady(event.data_as_dict())
    except InvalidEvent:
        return bytes(event.data).decode("utf-8", "replace")


def _short(value: Any, most: int = 60) -> str:
    shown = "nothing" if value is None else repr(value)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
