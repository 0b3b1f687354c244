"""The film as a picture: the axis with its errors, and a lane for every agent on every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from stigmergy.cli.player.rows import Rows
from stigmergy.cli.screen import counted, span

if TYPE_CHECKING:
    from datetime import datetime

    from textual.events import MouseDown, MouseMove, MouseUp

    from stigmergy.cli.player.film import Film

_MARKS = {"working": ("▸", "cyan"), "idle": ("·", "bright_black"), "": (" ", "")}


class At(Message):
    """The viewer points at a moment."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.moment = moment


class LaneChosen(Message):
    """The name of a lane was clicked."""

    def __init__(self, agent: str, worker: str) -> None:
        super().__init__()
        self.agent = agent
        self.worker = worker


def name_room(width: int) -> int:
    """Cells for names beside an axis; the rest is the axis."""
    return max(min(width // 4, 30), 6)


class _Pointed(Widget):
    """Turns presses and drags on the axis into moments."""

    ALLOW_SELECT = False
    film: Film

    def on_mouse_down(self, event: MouseDown) -> None:
        """Go there, and on while the button is held."""
        if event.button == 1 and event.x >= name_room(self.size.width):
            self.capture_mouse()
            self._point(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Pull the film along."""
        if self.app.mouse_captured is self:
            self._point(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        """Let go."""
        if self.app.mouse_captured is self:
            self.release_mouse()

    def _point(self, x: int) -> None:
        names = name_room(self.size.width)
        room = max(self.size.width - names, 1)
        self.post_message(At(self.film.lanes.moment(min(max(x - names, 0), room - 1), room)))


class Ruler(_Pointed):
    """One line: how far the film is, its errors in red, the cursor on it."""

    def __init__(self, film: Film, *, id: str) -> None:
        super().__init__(id=id)
        self.film = film

    def render_line(self, y: int) -> Strip:
        """The axis is that of the whole film."""
        lanes, width = self.film.lanes, self.size.width
        names = name_room(width)
        now = self.film.moment or lanes.begin
        told = Text(f"{span(max((now - lanes.begin).total_seconds(), 0))} of {span(lanes.length_s)}", "dim", end="")
        told.truncate(names - 1, overflow="ellipsis", pad=True)
        told.append(" ").append_text(lanes.ruler(now, max(width - names, 1)))
        told.stylize_before(self.rich_style)
        return Strip(told.render(self.app.console), width)


class LaneRows(_Pointed, Rows):
    """All lanes, on the same axis; the one of the event at hand is in sight."""

    DEFAULT_CSS = "LaneRows { height: auto; scrollbar-size: 0 0; } LaneRows.empty { display: none; }"

    def __init__(self, film: Film, *, id: str) -> None:
        super().__init__(id=id)
        self.film = film

    @property
    def allow_vertical_scroll(self) -> bool:
        """Also without a scrollbar, for which there is no room."""
        return self.max_scroll_y > 0

    def show(self) -> None:
        """Draw the film as it is now."""
        cursor, lanes = self.film.cursor, self.film.lanes
        self.set_class(not lanes.names, "empty")
        if self.virtual_size.height != len(lanes.names):
            self.set_rows(len(lanes.names))
            self.refresh(layout=True)
        lane = lanes.lane(cursor.about[cursor.position - 1]) if cursor.position else None
        if lane is not None and not 0 <= lane - self.scroll_offset.y < self.size.height:
            self.scroll_to(y=max(lane - self.size.height // 2, 0), animate=False)
        shown = min(len(lanes.names), self.size.height)
        self.tooltip = None if shown == len(lanes.names) else f"{counted(len(lanes.names), 'lane')}; the wheel scrolls"
        self.refresh()

    def row_text(self, row: int) -> Text:
        """Who, and what it did when."""
        lanes, width = self.film.lanes, self.size.width
        names, now = name_room(width), self.film.moment or self.film.lanes.begin
        agent, worker = lanes.names[row]
        mark, tint = _MARKS[lanes.doing(row, now)]
        told = Text.assemble((mark, tint), " ", (agent, "bold" if mark == "▸" else ""), " ", (worker, "dim"), end="")
        told.truncate(names - 1, overflow="ellipsis", pad=True)
        return told.append(" ").append_text(lanes.drawn(row, now, max(width - names, 1)))

    def on_mouse_down(self, event: MouseDown) -> None:
        """On a name: whose events are wanted."""
        row = event.y + self.scroll_offset.y
        if event.x < name_room(self.size.width) and row < len(self.film.lanes.names):
            self.post_message(LaneChosen(*self.film.lanes.names[row]))
