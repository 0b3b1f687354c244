"""Widgets of many lines of which only the visible ones are made; their text can be selected and copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip


class Rows(ScrollView, inherit_bindings=False):
    """Subclasses say how many rows there are and make one of them."""

    DEFAULT_CSS = "Rows { overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def row_text(self, row: int) -> Text:
        """What is in a row; as wide as it likes."""
        raise NotImplementedError

    def row_style(self, row: int) -> Style:
        """What the whole row looks like."""
        return self.rich_style

    def set_rows(self, count: int) -> None:
        """So many rows there are now."""
        if self.virtual_size.height != count:
            self.virtual_size = Size(self.scrollable_content_region.width, count)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width, row = self.scrollable_content_region.width, self.scroll_offset.y + y
        if row >= self.virtual_size.height:
            return Strip.blank(self.size.width, self.rich_style)
        style = self.row_style(row)
        text = self.row_text(row).copy()
        text.truncate(width, overflow="ellipsis", pad=True)
        text.stylize_before(style)
        selection = self.text_selection
        if selection is not None and (marked := selection.get_span(row)) is not None:
            start, end = marked
            chosen = self.screen.get_component_rich_style("screen--selection")
            text.stylize(chosen, start, len(text) if end == -1 else end)
        return Strip(text.render(self.app.console), width).apply_offsets(0, row)

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw it."""
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is marked; of what goes beyond this widget, what can be seen."""
        top, height = self.scroll_offset.y, self.size.height
        first = top if selection.start is None else selection.start.y
        last = min(top + height if selection.end is None else selection.end.y, self.virtual_size.height - 1)
        rows = ["" if row < first else self.row_text(row).plain for row in range(last + 1)]
        return selection.extract("\n".join(rows)), "\n"


class Pane(Rows, can_focus=True):
    """Lines of text, folded to the width there is."""

    BINDINGS: ClassVar = [
        Binding("up", "scroll_up", show=False),
        Binding("down", "scroll_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
    ]
    DEFAULT_CSS = "Pane { scrollbar-gutter: stable; }"

    def __init__(self, read: Callable[[str], Text] = Text.from_markup, *, id: str) -> None:
        """``read`` makes a text of a line; markup is understood unless something else is given."""
        super().__init__(id=id)
        self._read = read
        self._lines: list[str] = []
        self._folded: dict[str, list[Text]] = {}
        self._rows: list[Text] = []
        self._width = 0

    @property
    def lines(self) -> list[str]:
        """What is shown, as it was given."""
        return self._lines

    def show(self, lines: Iterable[str]) -> None:
        """Other lines. Those that were there before cost nothing."""
        self._lines = list(lines)
        self._fold()

    def on_resize(self) -> None:
        """Another width folds differently."""
        self._fold()

    def _fold(self) -> None:
        width = max(self.scrollable_content_region.width, 8)
        known = self._folded if width == self._width else {}
        self._folded = {line: known.get(line) or self._fold_one(line, width) for line in self._lines}
        self._width = width
        self._rows = [row for line in self._lines for row in self._folded[line]]
        # Never fewer than there is room for: another number is a new layout of the screen.
        self.set_rows(max(len(self._rows), self.scrollable_content_region.height))
        self.refresh()

    def _fold_one(self, line: str, width: int) -> list[Text]:
        text = self._read(line)
        if text.cell_len <= width:
            return [text]
        indent = len(text.plain) - len(text.plain.lstrip()) + 2
        if indent > width // 2:
            return list(text.wrap(self.app.console, width))
        first, *rest = text.wrap(self.app.console, width - indent)
        return [first, *(Text(" " * indent).append_text(row) for row in rest)]

    def row_text(self, row: int) -> Text:
        """A folded row."""
        return self._rows[row] if row < len(self._rows) else Text()
