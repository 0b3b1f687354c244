"""The :class:`~events.leadership.port.Keys` in memory, for unit tests and simulations; the contract is the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from events.leadership.port import Entry, Put
from schemas.errors import Conflict, StigmergyError


class MemoryKeys:
    """Keys that live as long as the object. ``ttl_s`` is ignored: nothing here lives that long."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Nothing to make."""

    async def put(self, writes: Sequence[Put]) -> list[int | StigmergyError]:
        await asyncio.sleep(0)
        return [self._put(write) for write in writes]

    def _put(self, write: Put) -> int | StigmergyError:
        known = self._entries.get(write.key)
        if (known.revision if known else 0) != write.last:
            return Conflict(f"{write.key} was written by somebody else")
        self._revision += 1
        self._entries[write.key] = Entry(write.key, write.value, self._revision)
        self._news.set()
        self._news = asyncio.Event()
        return self._revision

    async def get(self, key: str) -> Entry | None:
        await asyncio.sleep(0)
        return self._entries.get(key)

    async def watch(self, group: str) -> AsyncIterator[list[Entry]]:
        seen = 0
        first = True
        while True:
            news = self._news
            found = sorted(
                (e for e in self._entries.values() if e.revision > seen and e.key.startswith(f"{group}.")),
                key=lambda entry: entry.revision,
            )
            seen = self._revision
            if found or first:
                first = False
                yield found
            else:
                await news.wait()
