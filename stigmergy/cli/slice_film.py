"""Events of many missions as one film: which missions it needs, so that the state at every event can be told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from events.replay import JoinedSource, Slice
from schemas.envelope import NO_MISSION
from schemas.errors import InvalidInput
from stigmergy.cli.recordings import Recording, history_of, joined

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.client import Client

MOST_EVENTS = 300_000
_FEW = 20
_HINT = "choose fewer: by a mission in the subject, or by --since and --until; --json and --count have no limit"


async def slice_film(client: Client, wanted: Slice, *, archive: bool, follow: bool) -> Recording:
    """Everything that happened in the missions of which events are wanted, up to the end of the time that is wanted.

    Raises:
        InvalidInput: nothing is wanted, or more than a player can hold.
    """
    history = await history_of(client, archive=archive)
    missions: dict[str, None] = {}
    async with aclosing(joined(client, history, wanted).batches(follow=False)) as batches:
        async for batch in batches:
            missions.update(dict.fromkeys(event.mission for event in batch.events))
    if not missions and not follow:
        raise InvalidInput("no event fits", hint="`stig events tail --since 1h --no-follow` shows what there is")
    film: list[Event] = []
    for part in _parts(wanted, missions):
        async with aclosing(joined(client, history, part).batches(follow=False)) as batches:
            async for batch in batches:
                film += [event for event in batch.events if event.mission in missions and _belongs(event, wanted)]
                if len(film) > MOST_EVENTS:
                    raise InvalidInput(f"the film has more than {MOST_EVENTS:,} events", hint=_HINT)
    film.sort(key=lambda event: (event.sequence, event.index))
    source = _Follow(joined(client, history, Slice(wanted.tenant, wanted.mission)), set(missions))
    return Recording(wanted.tenant, "", film, source, live=follow)


def _parts(wanted: Slice, missions: dict[str, None]) -> list[Slice]:
    """What to read: a few missions one by one, many of them in one go."""
    everything = replace(wanted, noun="*", verb="*", key="", since=None)
    if len(missions) > _FEW:
        return [everything]
    return [replace(everything, mission=mission) for mission in missions]


def _belongs(event: Event, wanted: Slice) -> bool:
    """What is of no mission has no state to be told: only what is wanted of it comes in."""
    return event.mission != NO_MISSION or wanted.holds(event)


class _Follow:
    """What comes, of the missions that are in the film and of those that begin."""

    def __init__(self, source: JoinedSource, missions: set[str]) -> None:
        self._source = source
        self._missions = missions

    async def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        async with aclosing(self._source.events(follow=follow, after=after)) as events:
            async for event in events:
                if event.type == "mission.submitted":
                    self._missions.add(event.mission)
                if event.mission in self._missions or event.mission == NO_MISSION:
                    yield event
