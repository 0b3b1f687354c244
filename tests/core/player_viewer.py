"""One who sits before the player, in Textual's own harness: presses keys, points, and reads what is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Static

from events.replay import Cursor, HistoryFile, Pace
from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.rows import Pane
from stigmergy.cli.player.screen import FilmScreen
from stigmergy.cli.player.task_tree import TaskTree
from stigmergy.replaying import Scene, scene_cursor
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from schemas.envelope import Event

REPAIR = Path(__file__).parents[1] / "replay" / "histories" / "repair.ndjson"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Viewer:
    """One who sits before the player."""

    def __init__(self, pilot: Pilot[None], app: PlayerApp, clock: Clock) -> None:
        self.pilot = pilot
        self.app = app
        self.film = app.film
        self.screen: FilmScreen = app.films
        self.clock = clock

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Letter by letter, and enter."""
        await self.press(*("space" if letter == " " else letter for letter in text), "enter")

    @property
    def at(self) -> int:
        return self.film.cursor.position

    def says(self, name: str) -> str:
        """What a line or a panel has to say."""
        widget = self.app.screen.query_one(f"#{name}")
        if isinstance(widget, Pane):
            return "\n".join(widget.row_text(row).plain for row in range(widget.virtual_size.height))
        assert isinstance(widget, Static)
        return str(widget.visual)

    def tree(self) -> list[str]:
        tree = self.screen.query_one(TaskTree)
        lines = (tree.get_node_at_line(line) for line in range(tree.last_line + 1))
        return [str(node.label) for node in lines if node is not None]


def film_of(events: Sequence[Event], clock: Clock, *, live: bool = False) -> Film:
    cursor: Cursor[Scene] = scene_cursor("default", events[0].mission, world=world_fold())
    cursor.extend(events)
    return Film(cursor, Pace(clock, speed=0.1), world=world_fold(), live=live)


@asynccontextmanager
async def viewer(
    size: tuple[int, int] = (120, 40), events: Sequence[Event] | None = None, *, live: bool = False
) -> AsyncIterator[Viewer]:
    clock = Clock()
    app = PlayerApp(film_of(events or HistoryFile(REPAIR).read(), clock, live=live))
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Viewer(pilot, app, clock)
    assert app.return_code in (0, None)
