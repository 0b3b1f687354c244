"""The film of a mission under the viewer's hands: what each wish does, and which event is due. Knows no terminal."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from events.replay import Choice, Cursor, Pace
from schemas.errors import InvalidInput
from stigmergy.cli.player.lanes import Lanes
from stigmergy.cli.player.wishes import choice_of, day_of, go_to

if TYPE_CHECKING:
    from datetime import datetime

    from schemas.envelope import Event
    from stigmergy.replaying import Scene
    from stigmergy.world_panel import WorldFold

_AT_ONCE = 1000
_PAGE = 10
_EVERYTHING = Choice()


class Film:
    """One mission, or several, played.

    Attributes:
        message: why the last wish did nothing, until the next one.
        live: whether more events may come.
        filtered: what was typed as a filter; empty for what was asked for at first.
        sought: what was typed to be found; empty before that.
        lanes: who did what when, in all events there are.
    """

    def __init__(
        self, cursor: Cursor[Scene], pace: Pace, *, live: bool = False, world: WorldFold | None = None
    ) -> None:
        self.cursor = cursor
        self.pace = pace
        self.live = live
        self.world = world
        self.message = ""
        self.filtered = ""
        self.sought = ""
        self.lanes = Lanes()
        self.lanes.extend(cursor.events, cursor.about)
        self._asked = cursor.choice
        self._found: Choice | None = None
        self._rows: list[int] = []
        self._sifted = 0

    @property
    def moment(self) -> datetime | None:
        """When the event under the cursor happened."""
        return self.cursor.about[self.cursor.position - 1].moment if self.cursor.position else None

    def extend(self, events: Sequence[Event]) -> None:
        """More events came; a viewer at the end sees them, another one stays where he is."""
        known = len(self.cursor)
        self.cursor.extend(events)
        self.lanes.extend(events, self.cursor.about[known:])

    def tick(self) -> float:
        """Show what is due. Returns the seconds until the next event is; infinity if none is or it is paused."""
        for _ in range(_AT_ONCE):
            number = self.cursor.next_wanted()
            if number is None:
                return math.inf
            moment = self.cursor.about[number - 1].moment
            if (wait := self.pace.wait_s(moment)) > 0:
                return wait
            self.cursor.jump(number)
            self.pace.shown(moment)
        return 0.0

    # Which events are listed.

    @property
    def everything(self) -> bool:
        """Whether no filter leaves anything out."""
        return self.cursor.choice == _EVERYTHING

    @property
    def rows(self) -> Sequence[int]:
        """Numbers of the wanted events, as far as :meth:`sift` has looked; all of them without a filter."""
        return range(1, len(self.cursor) + 1) if self.everything else self._rows

    def sift(self, most: int = 20_000) -> bool:
        """Look at so many more events for the list; False if all have been looked at."""
        if self.everything:
            return False
        end = min(self._sifted + most, len(self.cursor))
        self._rows += filter(self.cursor.wanted, range(self._sifted + 1, end + 1))
        self._sifted = end
        return end < len(self.cursor)

    @property
    def row(self) -> int:
        """Where the event at hand is in the list, or would be; -1 before the first."""
        rows, position = self.rows, self.cursor.position
        place = bisect_left(rows, position)
        return place if place < len(rows) and rows[place] == position else place - 1

    # What the viewer wishes. Every movement holds the film: one who steps wants to look.

    def play(self) -> None:
        """Play, or hold; at the end begin again."""
        self.message = ""
        if not self.pace.paused:
            self.pace.pause()
            return
        if self.cursor.at_end and not self.live:
            self.cursor.jump(0)
        self.pace.jump(self.moment)
        self.pace.resume()

    def step(self, ways: int = 1) -> None:
        """One wanted event forward, or back with a negative number."""
        if ways > 0:
            self._moved(self.cursor.step(), "this is the last event")
        else:
            self._moved(self.cursor.back(), "this is the beginning")

    def page(self, ways: int = 1) -> None:
        """Ten of them."""
        for _ in range(_PAGE):
            self.step(ways)
            if self.message:
                return

    def error(self, ways: int = 1) -> None:
        """To the next event that says that something went wrong, or to the one before."""
        if ways > 0:
            self._moved(self.cursor.next_error(), "no error from here on")
        else:
            self._moved(self.cursor.previous_error(), "no error before this")

    def first(self) -> None:
        """Before the first event."""
        self.jump(0)

    def last(self) -> None:
        """To the last event; of a mission that runs, on with it."""
        self.jump(len(self.cursor))
        if self.live:
            self.pace.resume()

    def faster(self, steps: int = 1) -> None:
        """Up the ladder of speeds, or down with a negative number."""
        self.message = ""
        self.pace.faster(steps)

    def speed(self, speed: float) -> None:
        """Recorded seconds per second of the viewer; infinity never waits."""
        self.message = ""
        self.pace.set_speed(speed)

    def jump(self, number: int) -> None:
        """To the event of this number, wanted or not; 0 is before the first."""
        self.cursor.jump(number)
        self._moved(True, "")

    def jump_to_moment(self, moment: datetime) -> None:
        """To the last event before the first that happened later; before the first event if all did."""
        try:
            self.cursor.jump_to_moment(moment)
        except InvalidInput:
            self.cursor.jump(0)
        self._moved(True, "")

    def go_to(self, typed: str) -> None:
        """As :func:`~stigmergy.cli.player.wishes.go_to`; nothing typed is no wish. Raises :class:`InvalidInput`."""
        if typed:
            go_to(self.cursor, typed)
            self._moved(True, "")

    def filter(self, typed: str) -> None:
        """Show and step to these events only. Raises :class:`InvalidInput`."""
        self.cursor.choice = self.choice(typed)
        self.filtered, self.message = typed, ""
        self._rows, self._sifted = [], 0

    def choice(self, typed: str) -> Choice:
        """What :meth:`filter` would choose. Raises :class:`InvalidInput`."""
        return choice_of(typed, self._asked, day_of(self.cursor))

    def values(self) -> dict[str, set[str]]:
        """What a filter may ask for here, by the names of its language."""
        about = self.cursor.about
        return {
            "type": {event.type for event in self.cursor.events},
            "task": {one.task for one in about if one.task},
            "agent": {one.agent for one in about if one.agent},
            "worker": {one.worker for one in about if one.worker},
        }

    def search(self, typed: str) -> None:
        """Find the next event that fits, in the language of filters. Raises :class:`InvalidInput`."""
        if typed:
            self._found, self.sought = choice_of(typed, _EVERYTHING, day_of(self.cursor)), typed
            self.find()

    def find(self, ways: int = 1) -> None:
        """The next event of what is sought, or the one before."""
        if self._found is None:
            self.message = "nothing is sought yet"
            return
        where = "from here on" if ways > 0 else "before this"
        self._moved(self.cursor.find(self._found, ways), f"no event with {self.sought!r} {where}")

    def _moved(self, moved: bool, why_not: str) -> None:
        self.message = "" if moved else why_not
        self.pace.pause()
        self.pace.jump(self.moment)
