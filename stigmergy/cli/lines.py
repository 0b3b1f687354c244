"""Lines of a file as they come, many at a time where many are there."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Self, TextIO

_AHEAD = 20_000
_AHEAD_CHARACTERS = 16 * 2**20


class Lines:
    """Reads in a thread of its own, so that a pipe that is silent stops nobody; for one event loop.

    One call to a thread for each line takes 100 µs; reading fixed amounts would hold back the lines of a slow pipe. The
    thread is a daemon: a program that is told to end does not wait for the next line of a terminal.

    Raises:
        OSError: when iterated: the file cannot be read on.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: deque[str] = deque()
        self._here: deque[str] = deque()
        self._characters = 0
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: OSError | ValueError | None = None
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if not self._here:
            self._here.extend(await self._batch())
        if not self._here:
            raise StopAsyncIteration
        return self._here.popleft()

    async def rest(self, most: int) -> str:
        """Whole lines to the end, or until they have so many characters."""
        parts: list[str] = []
        size = 0
        async for line in self:
            parts.append(line)
            size += len(line)
            if size >= most:
                break
        return "".join(parts)

    def stop(self) -> None:
        """Nobody wants more: the thread ends with the line it waits for."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    async def _batch(self) -> list[str]:
        """All lines that are there, at least one; none at the end."""
        while True:
            with self._changed:
                batch = list(self._lines)
                self._lines.clear()
                self._characters = 0
                self._changed.notify()
                self._news.clear()
                ended, error = self._ended, self._error
            if batch:
                return batch
            if error is not None:
                raise error
            if ended:
                return []
            await self._news.wait()

    def _read(self) -> None:
        try:
            for line in self._file:
                self._put(line)
                if self._stopped:
                    break
        except (OSError, ValueError) as error:  # ValueError: it was closed, because nobody wants more
            self._error = error
        with self._changed:
            self._ended = True
        self._tell()

    def _put(self, line: str) -> None:
        with self._changed:
            while len(self._lines) >= _AHEAD or self._characters >= _AHEAD_CHARACTERS:
                if self._stopped:
                    return
                self._changed.wait()
            self._lines.append(line)
            self._characters += len(line)
            first = len(self._lines) == 1
        if first:
            self._tell()

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(self._news.set)
