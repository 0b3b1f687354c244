"""The player's life: a terminal of its own, keys, events that still come, and drawing when something changed."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from stigmergy.cli import screen
from stigmergy.cli.player import Player
from stigmergy.cli.player_screen import PlayerScreen
from stigmergy.cli.terminal_keys import key_presses
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from events.replay import Cursor, Pace
    from stigmergy.cli.recordings import Recording
    from stigmergy.replaying import Scene

_FRAME_S = 0.04
_IDLE_S = 0.5


async def play(cursor: Cursor[Scene], pace: Pace, record: Recording, *, live: bool) -> None:
    """Until the viewer leaves. The terminal is as before afterwards. Raises what the log raises."""
    from rich.live import Live

    player = Player(cursor, pace, live=live, world=world_fold())
    changed = asyncio.Event()

    def press(key: str) -> None:
        player.press(key)
        changed.set()

    console = screen.out()
    coming = asyncio.create_task(_take(player, record, changed)) if live else None
    try:
        drawn = Live(PlayerScreen(player), console=console, screen=True, auto_refresh=False)
        with drawn, key_presses(press):
            while not player.left:
                changed.clear()
                wait = player.tick()
                drawn.refresh()
                # The size of a terminal may change at any time, so it is drawn again now and then.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_S if wait == math.inf else min(max(wait, _FRAME_S), _IDLE_S)):
                        await changed.wait()
                if coming is not None and coming.done():
                    coming.result()
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _take(player: Player, record: Recording, changed: asyncio.Event) -> None:
    """Events of a mission that still runs. It may be reopened after its end, so this lasts as long as the player."""
    async with aclosing(record.source.events(follow=True, after=record.last)) as events:
        async for event in events:
            player.extend([event])
            changed.set()
