"""Keys from a terminal, one by one, without waiting for the return key."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NAMES = {
    "\x1b[C": "right", "\x1b[D": "left", "\x1b[A": "up", "\x1b[B": "down", "\x1bOC": "right", "\x1bOD": "left",
    "\x1bOA": "up", "\x1bOB": "down", "\x1b[H": "home", "\x1b[F": "end", "\x1b[1~": "home", "\x1b[4~": "end",
    "\x1b[5~": "page-up", "\x1b[6~": "page-down", "\x1b[1;2C": "shift-right", "\x1b[1;2D": "shift-left",
    "\x1b": "escape", "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace",
    "\x08": "backspace", "\x03": "q", "\x04": "q",
}  # fmt: skip
_PIECE = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)


def keys_in(text: str) -> list[str]:
    """Names of the keys that made this text: ``left``, ``enter`` …, or the character. Unknown sequences are dropped."""
    pieces = (match[0] for match in _PIECE.finditer(text))
    named = (_NAMES.get(piece, piece if len(piece) == 1 and piece.isprintable() else "") for piece in pieces)
    return [name for name in named if name]


@contextmanager
def key_presses(press: Callable[[str], None]) -> Iterator[None]:
    """Call ``press`` with every key while the block runs; the terminal is as before afterwards.

    Ctrl-C is a key here, so that the terminal is left in good order.
    """
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def read() -> None:
        pressed = os.read(terminal, 1024)
        if not pressed:
            loop.remove_reader(terminal)
        for name in keys_in(pressed.decode("utf-8", "replace")) if pressed else ["q"]:
            press(name)

    try:
        tty.setraw(terminal, termios.TCSANOW)
        # Raw input, but the usual output: lines that are drawn would run down like stairs otherwise.
        mode = termios.tcgetattr(terminal)
        mode[1] = before[1]
        termios.tcsetattr(terminal, termios.TCSANOW, mode)
        loop.add_reader(terminal, read)
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
