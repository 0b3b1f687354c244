"""The mission that is meant by an argument: one on the log, or one in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.replay import EventSource, HistoryFile, LogSource
from schemas.errors import InvalidInput

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.client import Client

_ENDINGS = (".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a mission so far, and where more of it would come from."""

    tenant: str
    mission: str
    events: list[Event]
    source: EventSource


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


async def recording(client: Client | None, said: str) -> Recording:
    """Read it. Raises :class:`InvalidInput` if there is no such mission, or the file is none."""
    if client is None or is_file(said):
        source = HistoryFile(Path(said))
        events = source.read()
        if not events:
            raise InvalidInput(f"{said} holds no events", hint="`stig mission events ID --json` writes such files")
        return Recording(events[0].tenant, events[0].mission, events, source)
    from stigmergy.cli.finding import find

    tenant, mission = client.settings.tenant, (await find(client, said)).id
    live = LogSource(client.bus.log, tenant, mission)
    return Recording(tenant, mission, [event async for event in live.events(follow=False)], live)
