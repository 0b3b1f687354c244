"""The screen of the player: what is where, and what the keys and the mouse do to the film."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import msgspec
from rich.highlighter import JSONHighlighter
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Static, TabbedContent, TabPane, Tree

from stigmergy.cli.player import texts
from stigmergy.cli.player.event_list import EventList
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.help import Help
from stigmergy.cli.player.keys import bindings, explained
from stigmergy.cli.player.outline import Item
from stigmergy.cli.player.prompt import Prompt
from stigmergy.cli.player.rows import Pane
from stigmergy.cli.player.task_tree import TaskTree
from stigmergy.cli.player.timeline_view import At, LaneChosen, LaneRows, Ruler
from stigmergy.cli.player.wishes import completed

FRAME_S = 0.05
PANELS = ("tasks", "mission", "notes", "world", "event")
_FOLDS, _FOLDS_WAITED_FOR = 4, 16
"""Pieces of the way ahead that are folded between two pictures, each some 5 ms: few while nobody waits for them."""
_COUNTED = 50_000


def _json_text(line: str) -> Text:
    return JSONHighlighter()(Text("".join(c if c.isprintable() else " " for c in line)))


class FilmScreen(Screen[None], inherit_bindings=False):
    """Timeline above; events left; the state right; below what the event at hand changed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (14, "-low"), (28, "-high"), (44, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "#events"

    def __init__(self, film: Film) -> None:
        super().__init__()
        self.film = film
        self._timer: Timer | None = None
        self._panels = PANELS if film.world is not None else tuple(name for name in PANELS if name != "world")
        self._filters: list[str] = []
        self._searches: list[str] = []

    def compose(self) -> ComposeResult:
        """The order on the screen."""
        yield Static(id="title")
        yield Ruler(self.film, id="ruler")
        yield LaneRows(self.film, id="lanes")
        with Horizontal(id="body"):
            yield EventList(self.film, id="events")
            with TabbedContent(id="panels"):
                for name in self._panels:
                    with TabPane(name.capitalize(), id=f"panel-{name}"):
                        yield TaskTree(id=name) if name == "tasks" else self._pane(name)
        with Vertical(id="changed"):
            yield Pane(id="changes")
        yield Static(id="status")
        yield Footer(compact=True)

    def _pane(self, name: str) -> Pane:
        return Pane(_json_text, id=name) if name == "event" else Pane(id=name)

    def on_mount(self) -> None:
        """Begin to play."""
        self.query_one("#events").border_title = "Events"
        for tab in self.query("ContentTabs"):
            tab.can_focus = False
        self.advance()

    def advance(self) -> None:
        """Show what is due, draw it, and come again when the next event is, or when there is still something to do."""
        wait = self.film.tick()
        busy = self._draw()
        if self._timer is not None:
            self._timer.stop()
        again = FRAME_S if busy else max(wait, FRAME_S)
        self._timer = None if again == math.inf else self.set_timer(again, self.advance)

    def _draw(self) -> bool:
        """Everything that can be seen. Whether there is more to do for it, or for what may be asked for next."""
        film = self.film
        busy = film.sift()
        self._say("status", texts.status_line(film))
        self.query_one(Ruler).refresh()
        self.query_one(LaneRows).show()
        self.query_one(EventList).show()
        cursor = film.cursor
        for _ in range(_FOLDS if film.pace.paused else 0):
            busy |= cursor.fold_on()
        for _ in range(_FOLDS_WAITED_FOR):
            if cursor.is_near(cursor.position):
                self._draw_state()
                return busy
            cursor.fold_on()
        told = f"[yellow]folding the events up to here: {cursor.reach * 100 // cursor.position} %[/]"
        self._say("title", f"{texts.title(film)}  {told}")
        return True

    def _say(self, name: str, markup: str) -> None:
        # These lines are as wide as the screen whatever they say: no new layout is needed.
        self.query_one(f"#{name}", Static).update(Text.from_markup(markup), layout=False)

    def _draw_state(self) -> None:
        film, scene = self.film, self.film.cursor.state
        self._say("title", f"{texts.title(film)}  {texts.mission_title(scene)}")
        self.query_one("#changed").border_title = f"Event {film.cursor.position:,} and what it changed"
        self.query_one("#changes", Pane).show(texts.change_lines(film))
        match self.panel:
            case "tasks":
                self.query_one(TaskTree).show(scene)
            case "mission":
                self.query_one("#mission", Pane).show(texts.mission_lines(scene))
            case "notes":
                self.query_one("#notes", Pane).show(texts.scratchpad_lines(scene))
            case "world":
                self.query_one("#world", Pane).show(texts.world_lines(film))
            case _:
                self.query_one("#event", Pane).show(texts.event_lines(film.cursor.event))

    @property
    def panel(self) -> str:
        """Which panel is in sight."""
        return self.query_one(TabbedContent).active.removeprefix("panel-")

    # What keys do.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a panel the keys of the list and enter are the panel's."""
        return not (action.startswith(("list_", "enter_")) and isinstance(self.focused, Pane | TaskTree))

    def action_play(self) -> None:
        self.film.play()
        self.advance()

    def action_step(self, ways: int) -> None:
        self.film.step(ways)
        self.advance()

    action_list_step = action_step

    def action_list_page(self, ways: int) -> None:
        self.film.page(ways)
        self.advance()

    def action_list_first(self) -> None:
        self.film.first()
        self.advance()

    def action_list_last(self) -> None:
        self.film.last()
        self.advance()

    def action_faster(self, steps: int) -> None:
        self.film.faster(steps)
        self.advance()

    def set_speed(self, speed: float) -> None:
        """So many recorded seconds per second."""
        self.film.speed(speed)
        self.advance()

    def action_error(self, ways: int) -> None:
        self.film.error(ways)
        self.advance()

    def action_find(self, ways: int) -> None:
        self.film.find(ways)
        self.advance()

    def action_turn(self, ways: int) -> None:
        self.turn_to(self._panels[(self._panels.index(self.panel) + ways) % len(self._panels)])

    def turn_to(self, panel: str) -> None:
        """Show this panel; if one was in focus, the new one is."""
        inside = self.focused is not None and self.focused.id in PANELS
        self.query_one(TabbedContent).active = f"panel-{panel}"
        if inside:
            self.query_one(f"#{panel}").focus()

    @property
    def panels(self) -> tuple[str, ...]:
        """The panels there are."""
        return self._panels

    def action_enter_panel(self) -> None:
        self.query_one(f"#{self.panel}").focus()

    def action_leave_panel(self) -> None:
        self.clear_selection()
        self.query_one(EventList).focus()

    def action_copy(self) -> None:
        event = self.film.cursor.event
        if event is None:
            self.film.message = "there is no event before the first"
        else:
            self.app.copy_to_clipboard(msgspec.json.encode(event).decode())
            self.film.message = f"event {self.film.cursor.position} is in the clipboard, if the terminal allows it"
        self.advance()

    def action_help(self) -> None:
        self.app.push_screen(Help(explained()))

    def action_copy_or_leave(self) -> None:
        marked = self.get_selected_text()
        self.app.exit() if marked is None else self.app.copy_to_clipboard(marked)

    def action_leave(self) -> None:
        self.app.exit()

    # What is typed.

    def action_go_to(self) -> None:
        last = len(self.film.cursor)
        self._ask(
            Prompt(
                "Go to", f"an event from 0 to {last}, seq:4711, 12:30:15", self.film.go_to, lambda _: "enter goes there"
            )
        )

    def action_filter(self, typed: str = "") -> None:
        present = f"now: {self.film.filtered}; nothing typed ends it" if self.film.filtered else ""
        example = present or "type:task.* task:fix-* agent:tester worker:w-1 since:12:30 until:12:31 error words"
        told = self._counted if len(self.film.cursor) <= _COUNTED else self._understood
        complete = partial(completed, values=self.film.values())
        self._ask(
            Prompt("Filter", example, self.film.filter, told, typed=typed, history=self._filters, complete=complete)
        )

    def action_search(self) -> None:
        example = "words, or as a filter: type:task.failed task:fix-* error"
        complete = partial(completed, values=self.film.values())
        self._ask(
            Prompt("Find", example, self.film.search, self._understood, history=self._searches, complete=complete)
        )

    def _understood(self, typed: str) -> str:
        self.film.choice(typed)
        return "enter goes on"

    def _counted(self, typed: str) -> str:
        cursor, choice = self.film.cursor, self.film.choice(typed)
        found = sum(map(choice.wants, cursor.events, cursor.about))
        return f"[bold]{found:,}[/] of {len(cursor):,} events" + ("" if typed else "; nothing typed ends a filter")

    def _ask(self, prompt: Prompt) -> None:
        self.film.pace.pause()
        self.advance()
        self.app.push_screen(prompt, lambda _: self.advance())

    # What the mouse and the widgets say.

    @on(EventList.Chosen)
    def _go_to_number(self, message: EventList.Chosen) -> None:
        self.film.jump(message.number)
        self.advance()

    @on(At)
    def _go_to_moment(self, message: At) -> None:
        self.film.jump_to_moment(message.moment)
        self.advance()

    @on(LaneChosen)
    def _filter_lane(self, message: LaneChosen) -> None:
        self.action_filter(f"agent:{message.agent} worker:{message.worker}")

    @on(Tree.NodeSelected)
    def _choose_item(self, message: Tree.NodeSelected[Item]) -> None:
        item = message.node.data
        if item is not None and item.inner:
            message.node.toggle()
        elif item is not None and item.key.startswith("task:"):
            self.action_filter(item.key)

    @on(TabbedContent.TabActivated)
    def _turned(self) -> None:
        self.advance()
