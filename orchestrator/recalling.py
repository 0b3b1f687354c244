"""Reading what is on record of a mission, for whoever wants to begin another one there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from events.port import Log
from events.replay import EventSource, LogSource
from orchestrator.core.evolve import FOLDED_TYPES
from orchestrator.core.facts import Fact
from orchestrator.core.forking import Recording, recall
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from schemas.errors import InvalidEvent, Refused

Recordings = Callable[[str, str], Awaitable[EventSource]]
"""Gives the source of a tenant's mission."""
_FOLDED = frozenset(FOLDED_TYPES)


def from_log(log: Log) -> Recordings:
    """Missions as the log alone has them."""

    async def source(tenant: str, mission: str) -> EventSource:
        return LogSource(log, tenant, mission)

    return source


async def read_recording(recordings: Recordings, tenant: str, mission: str, at: int) -> Recording:
    """What is on record of a mission now. Raises :class:`Refused` if its beginning is nowhere."""
    source = await recordings(tenant, mission)
    events = [event async for event in source.events(follow=False)]
    if not events or events[0].type != "mission.submitted":
        hint = "`stig mission list` shows them; an orchestrator with the archive's settings also finds archived ones"
        raise Refused(f"there is no mission {mission!r} from its beginning on", hint=hint)
    # A mission of ten thousand tasks takes a second: the others should not stand still for it.
    return await asyncio.to_thread(recorded, tenant, mission, events, at)


def recorded(tenant: str, mission: str, events: Sequence[Event], at: int) -> Recording:
    """The recording in a mission's events; pure."""
    return recall(Mission(tenant=tenant, id=mission), ((event.sequence, fact_of(event)) for event in events), at)


def fact_of(event: Event) -> Fact | None:
    """The fact; None if it says nothing of the mission's state, or cannot be read."""
    if event.type not in _FOLDED:
        return None
    try:
        return Fact.of(event)
    except InvalidEvent:
        return None
