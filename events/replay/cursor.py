"""Where one stands in a list of events that may still grow, and the state there, folded on demand.

Going back folds nothing from the start: the state at every so many events is kept, and so are the states around the
place one looks at. States are immutable and share what did not change, so keeping one costs a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
        if not 0 <= position <= len(self.events):
            raise InvalidInput(
                f"there is no event {position}", hint=f"the events are numbered from 1 to {len(self.events)}"
            )
        base = position - position % self._every
        while len(self._kept) <= base // self._every:
            self._walk((len(self._kept) - 1) * self._every, len(self._kept) * self._every)
        if base != self._base:
            self._base, self._near = base, [self._kept[base // self._every]]
        while len(self._near) <= position - base:
            self._near.append(self._fold(self._near[-1], self.events[base + len(self._near) - 1]))
        return self._near[position - base]

    def _walk(self, first: int, last: int) -> None:
        """Fold from one kept state to the next."""
        known = self._near if self._base == first else [self._kept[-1]]
        state = known[-1]
        for event in self.events[first + len(known) - 1 : last]:
            state = self._fold(state, event)
        self._kept.append(state)

    def jump(self, position: int) -> None:
        """To a number, whether it is wanted or not. Raises :class:`InvalidInput`."""
        self.state_at(position)
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
        return self._go(self._seek(self._position + 1, 1, _ERRORS))

    def previous_error(self) -> bool:
        """To the one before."""
        return self._go(self._seek(self._position - 1, -1, _ERRORS))

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
