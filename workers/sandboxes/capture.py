"""Output that is read to its end and kept only in part: the first half and the last half of a cap."""

from __future__ import annotations

import codecs
from collections.abc import Callable

LINE_CAP = 4096


class Capture:
    """Bytes of one stream. The head tells how a program started, the tail why it stopped; the middle may go.

    Args:
        cap: bytes kept at most.
        on_line: told each line, without its end; a line longer than 4096 characters is told in pieces.
    """

    def __init__(self, cap: int, on_line: Callable[[str], None] | None = None) -> None:
        self._head_room = cap // 2
        self._tail_room = cap - self._head_room
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._on_line is not None:
            self._tell(self._decoder.decode(chunk))
        room = self._head_room - len(self._head)
        self._head += chunk[:room] if room > 0 else b""
        self._tail += chunk[max(room, 0) :]
        excess = len(self._tail) - self._tail_room
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def _tell(self, text: str) -> None:
        self._line += text
        *whole, self._line = self._line.split("\n")
        for line in whole:
            self._say(line.rstrip("\r"))
        while len(self._line) > LINE_CAP:
            self._say(self._line[:LINE_CAP])
            self._line = self._line[LINE_CAP:]

    def _say(self, line: str) -> None:
        if self._on_line is not None:
            self._on_line(line[:LINE_CAP])

    def close(self) -> None:
        """Tell the last line when it had no end."""
        if self._line:
            self._say(self._line)
            self._line = ""

    @property
    def truncated(self) -> bool:
        """Something was dropped."""
        return self._dropped > 0

    def text(self) -> str:
        """What was kept, as text; a note stands where bytes were dropped."""
        gap = f"\n[... {self._dropped} bytes left out ...]\n".encode() if self._dropped else b""
        return (bytes(self._head) + gap + bytes(self._tail)).decode("utf-8", "replace")
