"""Lanes of a film: for every agent on every worker what it did when, on the time of the whole film."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from stigmergy.cli.timeline import Attempts

if TYPE_CHECKING:
    from rich.text import Text

    from events.replay.about import About
    from schemas.envelope import Event
    from stigmergy.cli.timeline import Attempt

_NEVER = datetime.fromtimestamp(0, UTC)
_RUNNING = "cyan"
_COLOURS = {
    "succeeded": "green", "failed": "red", "timed_out": "red", "lost": "red", "cancelled": "bright_black",
    "handed_off": "magenta",
}  # fmt: skip
_IDLE_S = 5.0
"""So much of a time in which nothing happened is on the axis."""
_TOGETHER = 8
"""So many attempts of one agent on one worker are looked at for what it is doing; they hardly ever overlap."""
_BAR, _COMING, _HEAD = "▇", "▁", "│"


class Lanes:
    """Grows with the film. Moments without a readable time are left out.

    Where nothing happened while nobody had anything in hand, the axis is shortened: between two missions may lie hours.

    Attributes:
        names: agent and worker of every lane, in the order in which they began.
        begin, end: of the whole film; both the epoch while there is no event.
    """

    def __init__(self) -> None:
        self.names: list[tuple[str, str]] = []
        self.begin = self.end = _NEVER
        self._errors: list[datetime] = []
        self._attempts = Attempts()
        self._places: dict[tuple[str, str], int] = {}
        self._lanes: list[list[int]] = []
        self._cuts: list[tuple[datetime, datetime, float]] = []  # from, to, seconds left out so far and here
        self._painted: dict[tuple[int, int], list[str]] = {}
        self._wrong: tuple[int, frozenset[int]] = (0, frozenset())

    def extend(self, events: Iterable[Event], about: Iterable[About]) -> None:
        """More events, in their order, and what is known of each."""
        known = len(self._attempts.begun)
        for event, one in zip(events, about, strict=True):
            if one.moment > _NEVER:
                self._pass(one.moment)
                if one.error:
                    self._errors.append(one.moment)
            self._attempts.take(event)
        self._attempts.last(self.end)
        for number, attempt in enumerate(self._attempts.begun[known:], known):
            name = attempt.agent, attempt.worker
            if name not in self._places:
                self._places[name] = len(self.names)
                self.names.append(name)
                self._lanes.append([])
            self._lanes[self._places[name]].append(number)
        self._painted.clear()
        self._wrong = 0, frozenset()

    def _pass(self, moment: datetime) -> None:
        if self.begin == _NEVER:
            self.begin = self.end = moment
            return
        idle = (moment - self.end).total_seconds() - _IDLE_S
        if idle > 0 and not self._attempts.running:
            self._cuts.append((self.end, moment, idle + (self._cuts[-1][2] if self._cuts else 0.0)))
        self.begin, self.end = min(self.begin, moment), max(self.end, moment)

    def lane(self, about: About) -> int | None:
        """The lane of an event; None if it belongs to none."""
        return self._places.get((about.agent, about.worker))

    @property
    def length_s(self) -> float:
        """Recorded seconds of the whole film."""
        return (self.end - self.begin).total_seconds()

    def _axis_s(self, moment: datetime) -> float:
        """Seconds of the axis up to a moment."""
        place = bisect_right(self._cuts, moment, key=lambda cut: cut[1])
        left_out = self._cuts[place - 1][2] if place else 0.0
        if place < len(self._cuts) and moment > self._cuts[place][0]:
            moment = min(moment, self._cuts[place][0] + timedelta(seconds=_IDLE_S))
        return (moment - self.begin).total_seconds() - left_out

    def cell(self, moment: datetime, room: int) -> int:
        """Which of ``room`` cells of the axis a moment is in."""
        length = max(self._axis_s(self.end), 0.001)
        return min(max(int(self._axis_s(moment) / length * room), 0), room - 1)

    def moment(self, cell: int, room: int) -> datetime:
        """The last moment that is in a cell."""
        at = self._axis_s(self.end) * min((cell + 1) / room, 1.0)
        left_out = max((out for _, end, out in self._cuts if self._axis_s(end) <= at), default=0.0)
        return self.begin + timedelta(seconds=at + left_out)

    def doing(self, lane: int, now: datetime) -> str:
        """``working``, ``idle``, or empty if it has not begun."""
        begun = self._begun(lane, now)
        return "" if not begun else "working" if any(one.end > now for one in begun) else "idle"

    def _begun(self, lane: int, now: datetime) -> list[Attempt]:
        """The newest attempts of a lane that had begun."""
        numbers = self._lanes[lane]
        begun = bisect_right(numbers, now, key=lambda number: self._attempts.begun[number].begin)
        return [self._attempts.begun[number] for number in numbers[max(begun - _TOGETHER, 0) : begun]]

    def drawn(self, lane: int, now: datetime, room: int) -> Text:
        """``room`` cells: bright what was, coloured by its outcome; dim what is to come."""
        from rich.text import Text

        head, cells = self.cell(now, room), self._cells(lane, room)
        past = [*cells[:head], ""]  # in the cell at hand may be more that is still to come
        for one in self._begun(lane, now):
            if one.end > now:  # how it will end is not known yet
                first = self.cell(one.begin, room)
                past[first:] = [_RUNNING] * (head + 1 - first)
            elif self.cell(one.end, room) == head:
                past[head] = _COLOURS.get(one.outcome, _RUNNING)
        drawn = Text(no_wrap=True, end="")
        for place, colour in enumerate(past):
            drawn.append(_BAR if colour else _HEAD if place == head else " ", colour or "bright_black")
        for colour in cells[head + 1 :]:
            drawn.append(_COMING if colour else " ", "bright_black")
        return drawn

    def ruler(self, now: datetime, room: int) -> Text:
        """``room`` cells: the axis, with errors in red and the cursor on it."""
        from rich.text import Text

        if self._wrong[0] != room:
            self._wrong = room, frozenset(self.cell(moment, room) for moment in self._errors)
        head, wrong = self.cell(now, room), self._wrong[1]
        cuts = {self.cell(end, room) for _, end, _ in self._cuts}
        drawn = Text(no_wrap=True, end="")
        for cell in range(room):
            sign = "●" if cell == head else "┊" if cell in cuts else "━" if cell < head else "─"
            tint = "bold" if cell == head else "cyan" if cell < head else "bright_black"
            drawn.append("✗" if cell in wrong and cell != head else sign, "red" if cell in wrong else tint)
        return drawn

    def _cells(self, lane: int, room: int) -> list[str]:
        """The colours of a whole lane, as it is in the end; later attempts paint over earlier ones."""
        known = self._painted.get((lane, room))
        if known is None:
            known = self._painted[lane, room] = [""] * room
            for number in self._lanes[lane]:
                one = self._attempts.begun[number]
                first, last = self.cell(one.begin, room), self.cell(one.end, room)
                known[first : last + 1] = [_COLOURS.get(one.outcome, _RUNNING)] * (last + 1 - first)
        return known
