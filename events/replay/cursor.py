"""Where one stands in a list of events that may still grow, and the state there, folded on demand.

Going back folds nothing from the start: the state at every so many events is kept, and so are the states around the
place one looks at. States are immutable and share what did not change, so keeping one costs a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from events.replay.about import About, Registrar
from events.replay.choice import Choice
from schemas.envelope import Event
from schemas.errors import InvalidInput

_EVERYTHING = Choice()
_ERRORS = Choice(errors=True)


class Cursor[S]:
    """``position`` 0 is before the first event, ``position`` n is after the n-th.

    Args:
        start: the state before any event.
        fold: the state after one more event; pure.
        every: a state is kept every so many events.
    """

    def __init__(self, start: S, fold: Callable[[S, Event], S], *, every: int = 256) -> None:
        self._fold = fold
        self._every = every
        self._kept: list[S] = [start]
        self._near: list[S] = [start]  # the states after `_base`, `_base + 1`, … events: at most `every` of them
        self._base = 0
        self._registrar = Registrar()
        self._position = 0
        self.choice = _EVERYTHING
        self.events: list[Event] = []
        self.about: list[About] = []

    def extend(self, events: Iterable[Event]) -> None:
        """More events at the end; the cursor stays where it is."""
        for event in events:
            self.events.append(event)
            self.about.append(self._registrar.about(event))

    def __len__(self) -> int:
        return len(self.events)

    @property
    def position(self) -> int:
        return self._position

    @property
    def event(self) -> Event | None:
        """The event the cursor is on: the last one that is part of the state."""
        return self.events[self._position - 1] if self._position else None

    @property
    def state(self) -> S:
        return self.state_at(self._position)

    @property
    def at_end(self) -> bool:
        """Whether no wanted event is left ahead."""
        return self._seek(self._position + 1, 1, self.choice) is None

    def state_at(self, position: int) -> S:
        """The fold of the first ``position`` events, wherever the cursor is. Raises :class:`InvalidInput`."""
        self._check(position)
        base = position - position % self._every
        while not self.is_near(position):
            self.fold_on()
        if base != self._base:
            self._base, self._near = base, [self._kept[base // self._every]]
        while len(self._near) <= position - base:
            self._near.append(self._fold(self._near[-1], self.events[base + len(self._near) - 1]))
        return self._near[position - base]

    @property
    def reach(self) -> int:
        """How far every state costs no more than ``every`` folds."""
        return len(self._kept) * self._every - 1

    def is_near(self, position: int) -> bool:
        """Whether the state there costs no more than ``every`` folds."""
        return position <= self.reach

    def fold_on(self) -> bool:
        """Fold as far as the next state that is kept; False if there are no more events for one.

        Whoever must not be held up by a long way calls this piece by piece before asking for a state far ahead.
        """
        first, last = (len(self._kept) - 1) * self._every, len(self._kept) * self._every
        if last > len(self.events):
            return False
        known = self._near if self._base == first else [self._kept[-1]]
        state = known[-1]
        for event in self.events[first + len(known) - 1 : last]:
            state = self._fold(state, event)
        self._kept.append(state)
        return True

    def _check(self, position: int) -> None:
        if not 0 <= position <= len(self.events):
            raise InvalidInput(
                f"there is no event {position}", hint=f"the events are numbered from 1 to {len(self.events)}"
            )

    def jump(self, position: int) -> None:
        """To a number, whether it is wanted or not. Raises :class:`InvalidInput`.

        Nothing is folded before the state is asked for.
        """
        self._check(position)
        self._position = position

    def jump_to_sequence(self, sequence: int) -> None:
        """To the last event at or before a place in the log. Raises :class:`InvalidInput` if all come after it."""
        found = sum(1 for event in self.events if event.sequence <= sequence)
        if not found:
            first = self.events[0].sequence if self.events else 0
            raise InvalidInput(
                f"no event of the mission is at or before sequence {sequence}", hint=f"the first one is at {first}"
            )
        self.jump(found)

    def jump_to_moment(self, moment: datetime) -> None:
        """To the last event before the first that happened later. Raises :class:`InvalidInput` if all did."""
        later = next((number for number, about in enumerate(self.about) if about.moment > moment), len(self.about))
        if not later:
            begin = self.about[0].moment.isoformat() if self.about else "never"
            raise InvalidInput(f"nothing had happened by {moment.isoformat()}", hint=f"the first event is of {begin}")
        self.jump(later)

    def step(self) -> bool:
        """To the next wanted event; False if there is none yet."""
        return self._go(self._seek(self._position + 1, 1, self.choice))

    def back(self) -> bool:
        """To the wanted event before, or before all of them; False there."""
        if not self._position:
            return False
        return self._go(self._seek(self._position - 1, -1, self.choice) or 0)

    def next_error(self) -> bool:
        """To the next event that says that something went wrong; False if there is none."""
        return self.find(_ERRORS)

    def previous_error(self) -> bool:
        """To the one before."""
        return self.find(_ERRORS, -1)

    def find(self, sought: Choice, way: int = 1) -> bool:
        """To the next event that fits, or with -1 to the one before; False if there is none. Nothing else is chosen."""
        return self._go(self._seek(self._position + way, way, sought))

    def wanted(self, number: int) -> bool:
        """Whether the event of this number, from 1, passes the filter."""
        return self.choice.wants(self.events[number - 1], self.about[number - 1])

    def next_wanted(self) -> int | None:
        """The number of the event that :meth:`step` would go to."""
        return self._seek(self._position + 1, 1, self.choice)

    def _seek(self, start: int, way: int, choice: Choice) -> int | None:
        end = len(self.events) + 1 if way > 0 else 0
        for number in range(start, end, way):
            if choice.wants(self.events[number - 1], self.about[number - 1]):
                return number
        return None

    def _go(self, position: int | None) -> bool:
        if position is None:
            return False
        self.jump(position)
        return True
