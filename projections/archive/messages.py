"""Messages of the log as the archive takes them: decoded once, checked against their subjects, and not stamped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from events.blobs.port import BlobStore
from events.codec import check_out, unstamped
from events.port import Stored
from projections.frames import Frame, frame_of
from schemas.envelope import Event


@dataclass(frozen=True, slots=True)
class Message:
    """One message, all of one tenant and mission. The places of its events are here, and not in them: stamping each
    takes a tenth of the time of decoding it.

    Attributes:
        events: none where there is a frame: its columns have all that there is to keep, in a third of the memory.
        size: bytes, about.
        type: of all its events, if they have one.
        place: tenant and mission.
        many: how many events it has.
    """

    sequence: int
    events: Sequence[Event]
    size: int
    type: str | None
    place: tuple[str, str]
    many: int
    frame: Frame | None = None

    @property
    def order(self) -> tuple[str, str, int]:
        """By which the rows of a file are sorted."""
        return *self.place, self.sequence


def decode(stored: Stored) -> Message:
    """A message as it is stored. Raises :class:`InvalidEvent`, as :func:`events.codec.decode` does."""
    frame, size = frame_of(stored), len(stored.raw)
    if frame is not None:
        place = frame.tenant, frame.mission
        return Message(stored.sequence, (), size, frame.type, place, frame.many, frame)
    events, types = unstamped(stored)
    return _message(stored.sequence, events, size, next(iter(types)) if len(types) == 1 else None)


async def whole(message: Message, blobs: BlobStore) -> Message:
    """With the payloads that were left at the blob store. Raises ``InvalidInput`` if one is missing."""
    if [event.dataref for event in message.events].count(None) == len(message.events):
        return message
    events = [await check_out(event, blobs) for event in message.events]
    return replace(message, events=events, size=message.size + sum(len(event.data) for event in events))


def messages_of(events: Iterable[Event]) -> list[Message]:
    """Events that were read from the log, in its order, as the messages they came in."""
    return [_together(sequence, list(together)) for sequence, together in groupby(events, key=lambda one: one.sequence)]


def _message(sequence: int, events: Sequence[Event], size: int, kind: str | None = None) -> Message:
    return Message(sequence, events, size, kind, (events[0].tenant, events[0].mission), len(events))


def _together(sequence: int, events: list[Event]) -> Message:
    return _message(sequence, events, sum(len(event.data) for event in events))
