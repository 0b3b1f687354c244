"""Lanes of a film: for every agent what it did when, up to the event under the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from stigmergy.cli.screen import plain, span

if TYPE_CHECKING:
    from stigmergy.cli.timeline import Attempt

_NAME = 28
_COLOURS = {
    "succeeded": "green", "failed": "red", "timed_out": "red", "lost": "red", "cancelled": "bright_black",
    "handed_off": "magenta",
}  # fmt: skip


def lanes(
    attempts: Sequence[Attempt], begin: datetime, end: datetime, now: datetime, width: int, most: int
) -> Iterator[str]:
    """Lines of markup: a lane for every agent on every worker; the busiest if there are more than ``most``.

    The axis is that of the whole film, so that lanes grow to the right while it plays.
    """
    room = max(width - _NAME - 1, 10)
    total = max((end - begin).total_seconds(), 0.001)
    grouped: dict[str, list[Attempt]] = {}
    for one in attempts:
        grouped.setdefault(f"{one.agent} {one.worker}", []).append(one)
    ranked = sorted(grouped, key=lambda name: -sum((a.end - a.begin).total_seconds() for a in grouped[name]))
    shown = set(ranked[:most])
    head = min(int((now - begin).total_seconds() / total * room), room - 1)
    for name, inside in grouped.items():
        if name in shown:
            yield f"{plain(_fitted(name))} {_lane(inside, begin, now, total, room, head)}"
    hidden = len(grouped) - len(shown)
    more = f"and {hidden} more" if hidden > 0 else ""
    at = span(max((now - begin).total_seconds(), 0))
    yield f"[dim]{more:<{_NAME}} {at} of {span(total)}[/]"


def _lane(inside: Sequence[Attempt], begin: datetime, now: datetime, total: float, room: int, head: int) -> str:
    cells = [""] * room
    for one in inside:
        if one.begin > now:
            continue
        left = int((one.begin - begin).total_seconds() / total * room)
        right = int((min(one.end, now) - begin).total_seconds() / total * room)
        colour = _COLOURS.get(one.outcome, "cyan") if one.end <= now else "cyan"
        for cell in range(max(min(left, room - 1), 0), min(right + 1, room)):
            cells[cell] = colour
    drawn: list[str] = []
    for place, colour in enumerate(cells):
        if colour:
            drawn.append(f"[{colour}]{'▌' if place == head else '█'}[/]")
        else:
            drawn.append("[bright_black]│[/]" if place == head else "[bright_black]·[/]" if place < head else " ")
    return "".join(drawn)


def _fitted(name: str) -> str:
    return name.ljust(_NAME) if len(name) <= _NAME else name[: _NAME - 1] + "…"
