"""The player as a Textual app: one screen, a palette with what has no key, and a theme of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from rich.terminal_theme import TerminalTheme
from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.theme import Theme

from events.replay.pace import SPEEDS
from stigmergy.cli.player.screen import FRAME_S, FilmScreen

if TYPE_CHECKING:
    from stigmergy.cli.player.film import Film

_THEME = Theme(
    name="stigmergy",
    primary="#5aa9a0",
    secondary="#7f9bbf",
    accent="#d9a757",
    warning="#d9a757",
    error="#d8706a",
    success="#7fb77e",
    foreground="#d5d8dc",
    background="#14171a",
    surface="#14171a",
    panel="#1d2226",
    dark=True,
    variables={
        "footer-background": "#1d2226",
        "block-cursor-text-style": "none",
        "scrollbar": "#333a40",
        "scrollbar-hover": "#4a535b",
        "scrollbar-active": "#5aa9a0",
        "scrollbar-background": "#14171a",
        "scrollbar-background-hover": "#14171a",
        "scrollbar-background-active": "#14171a",
        "scrollbar-corner-color": "#14171a",
    },
)
_BACK, _FORE = (20, 23, 26), (213, 216, 220)
_TINTS = [
    (29, 34, 38), (216, 112, 106), (127, 183, 126), (217, 167, 87),
    (127, 155, 191), (182, 138, 190), (90, 169, 160), _FORE,
]  # fmt: skip
_ANSI = TerminalTheme(_BACK, _FORE, _TINTS, [(98, 107, 115), *_TINTS[1:]])
"""What the sixteen colours of a terminal look like here: the same words have the same colours as in lines, but calm."""


class PlayerApp(App[None]):
    """Plays a film until the viewer leaves."""

    CSS_PATH = "player.tcss"
    TITLE = "stig replay"

    def __init__(self, film: Film) -> None:
        super().__init__()
        self.film = film
        self.films = FilmScreen(film)
        self._news = False
        self.register_theme(_THEME)
        if not os.environ.get("TEXTUAL_THEME"):  # what the viewer has chosen for all such programs
            self.theme = _THEME.name
        self.ansi_theme_dark = _ANSI

    def get_default_screen(self) -> Screen[None]:
        """The film is all there is."""
        return self.films

    def changed(self) -> None:
        """More events came, whoever says so. However many they are, they are drawn with the next picture."""
        if self.is_running and not self._news:
            self._news = True
            self.call_later(self.set_timer, FRAME_S, self._draw_news)  # timers belong to the tasks of the app

    def _draw_news(self) -> None:
        self._news = False
        self.films.advance()

    def action_help_quit(self) -> None:
        """Ctrl-C leaves wherever one is."""
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        yield from super().get_system_commands(screen)
        for speed in SPEEDS:
            named = "max" if speed == float("inf") else f"{speed:g}x"
            yield SystemCommand(f"Speed {named}", "how fast the film plays", partial(self.films.set_speed, speed))
        for panel in self.films.panels:
            yield SystemCommand(f"Panel {panel}", "what is shown of the state", partial(self.films.turn_to, panel))
        yield SystemCommand("Filter", "choose what is shown", self.films.action_filter)
        yield SystemCommand("Find", "the next event with some words", self.films.action_search)
        yield SystemCommand("Go to", "an event, a place in the log, or a time", self.films.action_go_to)
        yield SystemCommand("Copy event", "as JSON, to the clipboard", self.films.action_copy)
        yield SystemCommand("Help on keys", "what the keys do", self.films.action_help)
