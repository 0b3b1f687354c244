"""What the keys do, on a page of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

_MORE = """\
[bold]Mouse[/]  click an event to go there; press or drag on the timeline; click a name to filter by it; \
the wheel scrolls. Text that is marked with the mouse is copied with ctrl+c; \
with shift held the terminal marks it itself.

[bold]Filter and search[/]  type:task.*  task:fix-*  agent:tester  worker:w-1  since:12:30  until:12:31:15  error  \
and words that the event must have. Patterns are those of a shell; tab completes; nothing ends the filter. What is \
filtered is shown and stepped to; the state always counts every event.

[bold]Go to[/]  120  seq:4711 (place in the log)  12:30:15  2026-01-31T12:00:00Z

[bold]Errors[/]  task.failed, mission.failed, world.violated, workspace.conflicted, action.expired, and \
attempt.finished that failed or ran out of time.

[bold]Colours[/]  [cyan]cyan[/] under way  [green]green[/] succeeded  [red]red[/] failed, lost or out of time  \
[magenta]magenta[/] handed on  [bright_black]grey[/] cancelled, or still to come"""


class Help(ModalScreen[None]):
    """Everything there is to know, made from the keys themselves."""

    BINDINGS: ClassVar = [Binding("escape,q,question_mark,f1,enter", "dismiss(None)", "Back")]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll {
        width: 84; max-width: 100%; height: auto; max-height: 100%; padding: 1 2;
        background: $panel; border: round $primary;
    }
    Help Static { height: auto; margin-bottom: 1; }
    """

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = list(keys)

    def compose(self) -> ComposeResult:
        """Keys first."""
        grid = Table.grid(padding=(0, 2))
        for key, does in self._keys:
            grid.add_row(Text(key, "bold"), does)
        with VerticalScroll() as page:
            page.border_title = "Replay"
            page.border_subtitle = "escape"
            yield Static(grid)
            yield Static(Text.from_markup(_MORE))
