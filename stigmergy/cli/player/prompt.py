"""One line that the viewer types, with a word on it at every key; what is wrong is said and can be mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, Static

from schemas.errors import InvalidInput
from stigmergy.cli.screen import plain

_THINK_S = 0.15


class _Longer(Suggester):
    """Suggests behind the cursor."""

    def __init__(self, complete: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line as it might be."""
        return self._complete(value)


class Prompt(ModalScreen[None]):
    """Asks below the film, which stays in sight.

    Args:
        asked: what is asked for.
        example: shown while nothing is typed.
        take: does what was typed, or raises :class:`InvalidInput`; then the prompt stays open.
        tell: markup about what was typed so far, or raises :class:`InvalidInput`.
        typed: what is there at first.
        history: what was typed before, the newest last; with ``up`` it comes back.
        complete: the line made longer, or None; ``tab`` takes it over.
    """

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss(None)", "Leave it"),
        Binding("ctrl+c", "copy_or_dismiss", show=False, priority=True),
        Binding("tab", "complete", show=False, priority=True),
        Binding("up", "recall(-1)", "Before", show=False),
        Binding("down", "recall(1)", "After", show=False),
    ]
    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    Prompt { background: transparent; align: left bottom; }
    Prompt > Vertical { height: auto; background: $panel; border-top: solid $primary; padding: 0 1; }
    Prompt > Vertical { border-title-color: $foreground; border-title-style: bold; }
    Prompt Input, Prompt Input:focus { border: none; height: 1; padding: 0; background: $panel; }
    Prompt Static { height: auto; color: $text-muted; }
    Prompt Static.wrong { color: $text-error; }
    """

    def __init__(
        self,
        asked: str,
        example: str,
        take: Callable[[str], None],
        tell: Callable[[str], str],
        *,
        typed: str = "",
        history: list[str] | None = None,
        complete: Callable[[str], str | None] | None = None,
    ) -> None:
        super().__init__()
        self._asked = asked
        self._example = example
        self._take = take
        self._tell = tell
        self._typed = typed
        self._history = [] if history is None else history
        self._complete = complete
        self._recalled = len(self._history)
        self._thinking: Timer | None = None

    def compose(self) -> ComposeResult:
        """The line, and the word on it."""
        with Vertical() as box:
            box.border_title = self._asked
            box.border_subtitle = "enter, or escape" if self._complete is None else "enter, tab completes, or escape"
            longer = None if self._complete is None else _Longer(self._complete)
            yield Input(self._typed, placeholder=self._example, select_on_focus=False, compact=True, suggester=longer)
            yield Static("", id="told")

    def on_mount(self) -> None:
        """Say something from the start."""
        self._think()

    def on_input_changed(self) -> None:
        """Think after the last key, not at each."""
        self._stop_thinking()
        self._thinking = self.set_timer(_THINK_S, self._think)

    def _stop_thinking(self) -> None:
        if self._thinking is not None:
            self._thinking.stop()

    def _think(self) -> None:
        typed = self.query_one(Input).value.strip()
        try:
            self._say(self._tell(typed), wrong=False)
        except InvalidInput as error:
            self._say(plain(f"{error.message}; {error.hint}"), wrong=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do it; or say what is wrong with it."""
        if not self.is_current:  # whoever types faster than prompts close has submitted twice
            return
        self._stop_thinking()
        typed = event.value.strip()
        try:
            self._take(typed)
        except InvalidInput as error:
            self._say(plain(f"{error.message}; {error.hint}"), wrong=True)
            return
        if typed and self._history[-1:] != [typed]:
            self._history.append(typed)
        self.dismiss(None)

    def _say(self, markup: str, *, wrong: bool) -> None:
        told = self.query_one("#told", Static)
        told.set_class(wrong, "wrong")
        told.update(Text.from_markup(markup))

    def action_copy_or_dismiss(self) -> None:
        """What Ctrl-C does: copy what is marked, or give up."""
        marked = self.query_one(Input).selected_text
        self.app.copy_to_clipboard(marked) if marked else self.dismiss(None)

    def action_complete(self) -> None:
        """Take over what is suggested."""
        line = self.query_one(Input)
        longer = self._complete(line.value) if self._complete is not None else None
        if longer is not None:
            line.value = longer
            line.cursor_position = len(longer)

    def action_recall(self, ways: int) -> None:
        """What was typed before."""
        place = self._recalled + ways
        if 0 <= place <= len(self._history):
            self._recalled = place
            line = self.query_one(Input)
            line.value = self._history[place] if place < len(self._history) else ""
            line.cursor_position = len(line.value)
