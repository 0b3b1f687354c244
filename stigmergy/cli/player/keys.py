"""The keys of the player: one table for what they do, the footer and the help."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding


class Key(NamedTuple):
    """Some keys with one meaning.

    Attributes:
        keys: as Textual names them, with commas between.
        action: of the screen; ``list_…`` and ``enter_panel`` only while no panel is in focus.
        shown: how they are written in the help; empty if another line there tells of them.
        does: what they do.
        short: for the footer; empty if it is not there.
    """

    keys: str
    action: str
    shown: str = ""
    does: str = ""
    short: str = ""


KEYS = (
    Key("space", "play", "space", "play, hold; at the end begin again", "Play"),
    Key("right", "step(1)", "→ ← (↓ ↑)", "the next event, the event before", "Step"),
    Key("left", "step(-1)"),
    Key("down", "list_step(1)"),
    Key("up", "list_step(-1)"),
    Key("pagedown", "list_page(1)", "page down, up", "ten events on, ten back"),
    Key("pageup", "list_page(-1)"),
    Key("home", "list_first", "home, end", "before the first event, the last; of a running mission, on with it"),
    Key("end", "list_last"),
    Key(
        "right_square_bracket,shift+right",
        "faster(1)",
        "] [ (shift → ←)",
        "faster, slower: 0.1 to 1000, and max",
        "Speed",
    ),
    Key("left_square_bracket,shift+left", "faster(-1)"),
    Key("e", "error(1)", "e E", "the next error, the one before", "Error"),
    Key("E", "error(-1)"),
    Key("g", "go_to", "g", "go to an event, a place in the log, or a time", "Go"),
    Key("slash", "filter", "/", "choose what is shown and stepped to", "Filter"),
    Key("f", "search", "f", "find an event", "Find"),
    Key("n", "find(1)", "n N", "the next one that fits, the one before"),
    Key("N", "find(-1)"),
    Key("tab", "turn(1)", "tab (shift tab)", "the next panel, the one before", "Panel"),
    Key("shift+tab", "turn(-1)"),
    Key("enter", "enter_panel", "enter", "into the panel: arrows move in it, enter opens a branch"),
    Key("escape", "leave_panel", "escape", "back to the events"),
    Key("c", "copy", "c", "copy the event as JSON"),
    Key("ctrl+c", "copy_or_leave", "ctrl+c", "copy the text that is marked; if none is, leave"),
    Key("ctrl+z", "app.suspend_process", "ctrl+z", "back to the shell for a while"),
    Key("question_mark,f1", "help", "?", "this page", "Help"),
    Key("q,ctrl+d", "leave", "q", "leave", "Quit"),
)
_FOOTER = {"right": "←→", "right_square_bracket,shift+right": "[ ]", "slash": "/", "question_mark,f1": "?", "tab": "⇥"}


def bindings() -> list[Binding]:
    """The same for Textual.

    All of them come before what the widget in focus does with a key: keys that are handled in two places would
    overtake one another when they come quickly.
    """
    return [
        Binding(
            key, one.action, one.short or one.does, key_display=_FOOTER.get(one.keys), priority=True,
            show=bool(one.short) and place == 0, tooltip=one.does,
        )
        for one in KEYS
        for place, key in enumerate(one.keys.split(","))
    ]  # fmt: skip


def explained() -> list[tuple[str, str]]:
    """Keys and what they do, for people."""
    told = [(one.shown, one.does) for one in KEYS if one.shown]
    return [*told, ("ctrl+p", "the rest, found by name: speeds, panels, themes, a picture of the screen")]
