"""The player's life: the app, and the events that still come while it is looked at."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from typing import TYPE_CHECKING

from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.film import Film
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from events.replay import Cursor, Pace
    from stigmergy.cli.recordings import Recording
    from stigmergy.replaying import Scene


async def play(cursor: Cursor[Scene], pace: Pace, record: Recording, *, live: bool) -> None:
    """Until the viewer leaves. The terminal is as before afterwards. Raises what the log raises."""
    gc.freeze()  # what was read stays; looking through it for garbage again and again would hold frames up
    film = Film(cursor, pace, live=live, world=world_fold())
    app = PlayerApp(film)
    coming = asyncio.create_task(_take(film, record, app)) if live else None
    if coming is not None:
        coming.add_done_callback(lambda _: app.exit())
    try:
        await app.run_async()
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    if coming is not None and not coming.cancelled():
        coming.result()
    if app.return_code:  # what went wrong in the app it has told itself
        raise SystemExit(app.return_code)


async def _take(film: Film, record: Recording, app: PlayerApp) -> None:
    """Events of a mission that still runs. It may be reopened after its end, so this lasts as long as the player."""
    async with aclosing(record.source.events(follow=True, after=record.last)) as events:
        async for event in events:
            film.extend([event])
            app.changed()
