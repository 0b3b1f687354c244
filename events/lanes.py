"""Events that wait to be sent, in lanes: one for each noun of a mission, cut into frames in the order they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from events.codec import frame_id, subject_of
from events.port import Write
from schemas.envelope import Event
from schemas.errors import InvalidInput
from schemas.events import payload_types
from schemas.ownership import UNFRAMED

WEIGHT = 400
"""Bytes of an envelope around its data, about."""
_MANY = 10_000


@dataclass(slots=True, eq=False)
class Frame:
    """Events that travel in one message.

    Attributes:
        weight: bytes, about.
        generation: which :meth:`~events.buffered.BufferedPublisher.flush` has to wait for it.
    """

    lane: Lane
    events: tuple[Event, ...]
    weight: int
    generation: int

    def write(self) -> Write:
        """The message. Its id says which events are in it, so that another cut is never taken for this one."""
        return Write(self.events, id=frame_id(self.events))

    def halves(self) -> tuple[Frame, Frame]:
        """Two frames for one that was too large; always cut at the same place."""
        middle = len(self.events) // 2
        first, second = self.events[:middle], self.events[middle:]
        weight = weight_of(first)
        return (
            Frame(self.lane, first, weight, self.generation),
            Frame(self.lane, second, self.weight - weight, self.generation),
        )


@dataclass(slots=True, eq=False)
class Lane:
    """What waits of one noun of one mission.

    Attributes:
        most: events of a frame.
        open: events that are not cut yet, and their weight.
        ready: frames to be sent, oldest first.
        busy: a frame is on its way, or the lane stands in the queue of those that have one.
    """

    place: tuple[str, str, str]
    most: int
    open: list[Event] = field(default_factory=list)
    weight: int = 0
    ready: deque[Frame] = field(default_factory=deque)
    busy: bool = False

    def cut(self, generation: int) -> Frame | None:
        """What is open becomes a frame; None if nothing is."""
        if not self.open:
            return None
        frame = Frame(self, tuple(self.open), self.weight, generation)
        self.open, self.weight = [], 0
        self.ready.append(frame)
        return frame

    @property
    def idle(self) -> bool:
        return not (self.open or self.ready or self.busy)


class Lanes:
    """The lanes in use; forgets idle ones when there are many.

    Attributes:
        known: lanes by tenant, mission and type: looked up for each event.
    """

    def __init__(self, frame_events: int) -> None:
        self._frame_events = frame_events
        self._by_place: dict[tuple[str, str, str], Lane] = {}
        self._limit = _MANY
        self.known: dict[tuple[str, str, str], Lane] = {}

    def of(self, event: Event) -> Lane:
        """The lane of an event.

        Raises:
            InvalidEvent, InvalidIdentifier: its type, tenant or mission cannot be a subject.
            InvalidInput: its type is keyed.
        """
        subject_of((event,))  # an event that cannot have one would spoil the frame it travels in
        kind = payload_types().get(event.type)
        if kind is not None and kind.KEYED:
            raise InvalidInput(f"{event.type} is keyed and cannot travel in a frame", hint="write it with Log.write")
        self._tidy()
        noun = event.type.partition(".")[0]
        place = (event.tenant, event.mission, noun)
        lane = self._by_place.get(place)
        if lane is None:
            lane = self._by_place[place] = Lane(place, 1 if noun in UNFRAMED else self._frame_events)
        self.known[event.tenant, event.mission, event.type] = lane
        return lane

    def all(self) -> Iterable[Lane]:
        return self._by_place.values()

    def _tidy(self) -> None:
        if len(self.known) >= self._limit:
            self.known = {key: lane for key, lane in self.known.items() if not lane.idle}
            self._by_place = {lane.place: lane for lane in self.known.values()}
            self._limit = max(_MANY, 2 * len(self.known))


def weight_of(events: tuple[Event, ...]) -> int:
    """Bytes of a message with these events, about."""
    return sum(len(event.data) + WEIGHT for event in events)
