"""The mission that is meant by an argument: one on the log or in the archive, or one in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.replay import EventSource, HistoryFile, JoinedSource, MissionSource, Slice
from schemas.errors import InvalidInput
from stigmergy.cli import screen

if TYPE_CHECKING:
    from events.replay import History
    from projections.archive.history import ArchiveHistory
    from schemas.envelope import Event
    from stigmergy.client import Client

_ENDINGS = (".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known so far, and where more of it would come from.

    Attributes:
        mission: empty for a film of several missions.
        live: whether more may come; None if the state of the mission says so.
    """

    tenant: str
    mission: str
    events: list[Event]
    source: EventSource
    live: bool | None = None

    @property
    def last(self) -> int:
        """The newest sequence that is known."""
        return self.events[-1].sequence if self.events else 0


def is_file(said: str) -> bool:
    """Whether a file is meant; no mission's id has a dot in it."""
    return said.endswith(_ENDINGS)


@asynccontextmanager
async def connected(*said: str, always: bool = False) -> AsyncIterator[Client | None]:
    """A client, if any of the arguments needs one."""
    if not always and all(is_file(one) for one in said):
        yield None
        return
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        yield client


async def history_of(client: Client, *, archive: bool) -> ArchiveHistory | None:
    """What was archived, unless nobody wants it. Raises as :func:`stigmergy.archiving.open_history`."""
    from stigmergy.archiving import open_history

    return await open_history(client.bus, client.settings) if archive else None


def joined(client: Client, history: History | None, wanted: Slice) -> JoinedSource:
    """The source of a slice; what could not be had is said on standard error."""
    return JoinedSource(client.bus.log, history, wanted, note)


def note(said: str) -> None:
    """Tell what is not as it should be, beside the results."""
    screen.err().print(f"[yellow]{screen.plain(said)}[/]")


async def recording(client: Client | None, said: str, *, archive: bool = True) -> Recording:
    """Read it. Raises :class:`InvalidInput` if there is no such mission, or the file is none."""
    if client is None or is_file(said):
        source = HistoryFile(Path(said))
        events = source.read()
        if not events:
            raise InvalidInput(f"{said} holds no events", hint="`stig mission events ID --json` writes such files")
        return Recording(events[0].tenant, events[0].mission, events, source)
    history = await history_of(client, archive=archive)
    tenant = client.settings.tenant
    mission = await _meant(client, history, said)
    kept = MissionSource(client.bus.log, history, tenant, mission, note)
    events = [event async for event in kept.events(follow=False)]
    if events and events[0].type != "mission.submitted":
        note(f"the beginning of mission {mission} is no longer there, so its state cannot be told")
    return Recording(tenant, mission, events, kept)


async def _meant(client: Client, history: ArchiveHistory | None, said: str) -> str:
    """The id of a mission on the log, or else of one that only the archive still has."""
    from stigmergy.cli.finding import find, meant

    try:
        return (await find(client, said)).id
    except InvalidInput:
        archived = await history.missions(client.settings.tenant, said) if history is not None else []
        if not archived:
            raise
        return meant(said, archived[::-1])
