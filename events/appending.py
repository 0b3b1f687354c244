"""Appending events in frames by way of ``write``: alike for every log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from events.codec import frames
from events.port import Ack, Guard, Write
from schemas.envelope import Event
from schemas.errors import StigmergyError

type Writes = Callable[[Sequence[Write]], Awaitable[list[Ack | StigmergyError]]]


async def append_framed(write: Writes, events: Sequence[Event], guard: Guard | None) -> int:
    """Append as :meth:`events.port.Log.append` does, and raise what it raises."""
    last = guard.last if guard else 0
    if guard is None:
        for result in await write([Write(frame) for frame in frames(events)]):
            last = max(last, _sequence(result))
        return last
    for frame in frames(events):
        # The next frame is compared with the one before: whoever came in between wins.
        [result] = await write([Write(frame, Guard(guard.filter, last))])
        last = _sequence(result)
    return last


def _sequence(result: Ack | StigmergyError) -> int:
    if isinstance(result, StigmergyError):
        raise result
    return result.sequence
