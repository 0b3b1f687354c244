"""The list of events: as many as there are, of which only the visible ones are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.message import Message

from stigmergy.cli.player.rows import Rows
from stigmergy.cli.player.texts import event_line

if TYPE_CHECKING:
    from textual.events import Click

    from stigmergy.cli.player.film import Film

_KEPT = 4096
_WIDE = 64


class EventList(Rows, can_focus=True):
    """The wanted events; the one at hand stands out, and what is to come is dim."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"event-list--at-hand", "event-list--coming"}

    class Chosen(Message):
        """An event was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, film: Film, *, id: str) -> None:
        super().__init__(id=id)
        self._film = film
        self._made: dict[int, Text] = {}
        self._shown = (-1, -1)
        self._form = (0, False)

    def show(self) -> None:
        """Draw the film as it is now, the event at hand among its neighbours."""
        form = len(str(len(self._film.cursor))), self.size.width < _WIDE
        if form != self._form or len(self._made) > _KEPT:
            self._form = form
            self._made.clear()
        self.set_rows(len(self._film.rows))
        shown = self._film.cursor.position, self._film.row  # another row, too, when a filter has changed or has got on
        if self._shown != shown:
            self._shown = shown
            self._reveal(self._film.row)
        self.refresh()

    def on_resize(self) -> None:
        """The event at hand stays in sight."""
        self._reveal(self._film.row)
        self.show()

    def _reveal(self, row: int) -> None:
        """A third of the list is kept for what comes."""
        height = self.scrollable_content_region.height
        top, low = self.scroll_offset.y, max(height * 2 // 3, 1)
        if row < top + min(1, height - 1) or row > top + low:
            self.scroll_to(y=max(row - (1 if row < top else low), 0), animate=False)

    def row_text(self, row: int) -> Text:
        """One event."""
        number = self._film.rows[row]
        if number not in self._made:
            self._made[number] = Text.from_markup(event_line(self._film, number, brief=self._form[1]))
        return self._made[number]

    def row_style(self, row: int) -> Style:
        """Now, before, or still to come."""
        number, position = self._film.rows[row], self._film.cursor.position
        if number == position:
            return self.get_component_rich_style("event-list--at-hand")
        return self.rich_style if number < position else self.get_component_rich_style("event-list--coming")

    def on_click(self, event: Click) -> None:
        """Go there, unless text was marked."""
        row = self.scroll_offset.y + event.get_content_offset_capture(self).y
        if self.text_selection is None and 0 <= row < len(self._film.rows):
            self.post_message(self.Chosen(self._film.rows[row]))
