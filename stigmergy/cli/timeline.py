"""Who did what when: the attempts of a mission as bars over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.envelope import moment_of
from stigmergy.cli.screen import plain, span

if TYPE_CHECKING:
    from schemas.envelope import Event

LANES = ("task", "agent", "worker")
_NAME = 34
_COLOURS = {
    "succeeded": "green", "failed": "red", "timed_out": "red", "lost": "red", "cancelled": "bright_black",
    "handed_off": "magenta",
}  # fmt: skip
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. ``outcome`` is empty and ``end`` the last event's time while it runs."""

    task: str
    number: int
    agent: str
    worker: str
    begin: datetime
    end: datetime
    outcome: str = ""


class Attempts:
    """The attempts of a film that grows.

    Attributes:
        begun: all that were started, in the order of their start.
    """

    def __init__(self) -> None:
        self.begun: list[Attempt] = []
        self._places: dict[tuple[str, str, int], int] = {}
        self._open: set[int] = set()

    @property
    def running(self) -> bool:
        """Whether any has not ended yet."""
        return bool(self._open)

    def take(self, event: Event) -> None:
        """One more event, in their order."""
        if event.type == "attempt.started":
            data, now = event.data_as_dict(), moment_of(event)
            key = event.mission, data["task"], data["attempt"]
            self._open.add(len(self.begun))
            self._places[key] = len(self.begun)
            self.begun.append(Attempt(*key[1:], data["agent"], data["worker"], now, now))
        elif event.type in ("attempt.finished", "action.expired"):
            data = event.data_as_dict()
            place = self._places.get((event.mission, data["task"], data["attempt"]))
            if place in self._open:
                self._open.discard(place)
                ended = replace(self.begun[place], end=moment_of(event), outcome=data.get("outcome", "lost"))
                self.begun[place] = ended

    def last(self, now: datetime) -> None:
        """There are no more events for now: what runs, has run until this moment."""
        for place in self._open:
            self.begun[place] = replace(self.begun[place], end=now)


def attempts_of(events: Iterable[Event]) -> list[Attempt]:
    """All attempts that were started, in the order of their start."""
    attempts, last = Attempts(), None
    for event in events:
        attempts.take(event)
        last = event
    if last is not None:
        attempts.last(moment_of(last))
    return attempts.begun


def drawn(attempts: Sequence[Attempt], lanes: str, width: int) -> Iterator[str]:
    """Lines of rich markup, at most ``width`` wide: an axis, then a lane for each task, agent or worker."""
    if not attempts:
        yield "[dim]no attempt has been started yet[/]"
        return
    begin = min(one.begin for one in attempts)
    total = max((max(one.end for one in attempts) - begin).total_seconds(), 0.001)
    room = max(width - _NAME - 10, 20)
    middle = span(total / 2)
    yield f"[dim]{'':<{_NAME}}0{middle:>{room // 2}}{span(total):>{room - room // 2 - 1}}[/]"
    grouped: dict[str, list[Attempt]] = {}
    for one in attempts:
        grouped.setdefault(getattr(one, lanes), []).append(one)
    for name, inside in grouped.items():
        busy = sum((one.end - one.begin).total_seconds() for one in inside)
        bars = _lane(inside, begin, total, room)
        yield f"{plain(_fitted(name))} {bars} [dim]{span(busy):>7}[/]"


def _fitted(name: str) -> str:
    return name.ljust(_NAME - 1) if len(name) < _NAME else "…" + name[-(_NAME - 2) :]


def _lane(inside: Sequence[Attempt], begin: datetime, total: float, room: int) -> str:
    """Cells coloured by the outcome of the attempt that covers most of each; later attempts win a tie."""
    cells: list[tuple[float, str]] = [(0.0, "")] * room
    scale = room / total
    for one in inside:
        left = (one.begin - begin).total_seconds() * scale
        # Even the shortest attempt is to be seen.
        right = max((one.end - begin).total_seconds() * scale, left + 0.125)
        for cell in range(min(int(left), room - 1), min(int(right) + 1, room)):
            covered = min(right, cell + 1) - max(left, cell)
            if covered > 0 and covered >= cells[cell][0]:
                cells[cell] = covered, _COLOURS.get(one.outcome, "cyan")
    return "".join(_cell(covered, colour) for covered, colour in cells)


def _cell(covered: float, colour: str) -> str:
    if not colour:
        return "[bright_black]·[/]"
    return f"[{colour}]{_EIGHTHS[max(1, min(8, round(covered * 8)))]}[/]"
