"""A fact as the heart sees it: what happened, when, and where it stands on the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from schemas.envelope import Event, moment_of
from schemas.events import Payload, parse


class Fact(NamedTuple):
    """One event, parsed. ``sequence`` is 0 while it is only supposed, before the log has it."""

    payload: Payload
    at: datetime
    sequence: int = 0
    id: str = ""
    cause: str = ""
    correlation: str | None = None
    traceparent: str | None = None

    @classmethod
    def of(cls, event: Event, payload: Callable[[Event], Payload] = parse) -> Fact:
        """Parse an event. Raises :class:`~schemas.errors.InvalidEvent` if this release cannot read it."""
        return cls(
            payload(event),
            moment_of(event),
            event.sequence,
            event.id,
            event.causationid or "",
            event.correlationid,
            event.traceparent,
        )
