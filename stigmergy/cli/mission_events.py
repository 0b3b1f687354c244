"""The events of one mission: as a list, as JSON lines, or drawn over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.envelope import moment_of
from stigmergy.cli import screen
from stigmergy.cli.sentences import sentence
from stigmergy.cli.timeline import attempts_of, drawn

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.client import Client
    from stigmergy.mission_handle import MissionHandle


async def print_events(client: Client, handle: MissionHandle, *, follow: bool, as_json: bool) -> None:
    """Print them in the order of the log; with ``follow`` until the mission has ended."""
    from stigmergy.cli.watching import Watching

    watching = Watching(client.settings.tenant, handle.id)
    follow = follow and not (await handle.view()).ended
    console = screen.out()
    async for event in handle.events(follow=follow):
        if as_json:
            screen.print_event(event)
        else:
            console.print(line(event), soft_wrap=True)
        watching.take(event)
        if follow and watching.ended:
            return


async def draw_timeline(handle: MissionHandle, lanes: str) -> None:
    """Draw the attempts of a mission as bars over time."""
    events = [event async for event in handle.events(follow=False)]
    console = screen.out()
    for text in drawn(attempts_of(events), lanes, min(console.width, 140)):
        console.print(text, no_wrap=True, overflow="ellipsis")


def line(event: Event) -> str:
    """One event in one line: place in the log, time, type, what happened."""
    return f"[dim]{event.sequence:>6} {screen.clock(moment_of(event))}[/] [dim]{event.type:<20}[/] {sentence(event)}"
