"""One way through the stream for all who follow it in this process, so that a message comes over the wire once.

Reading takes the server as long as the reader, and together half of what decoding takes. Who follows the whole stream
joins the others: the first to want more fetches for all. What was fetched is kept until all have taken it, within a
bound; when that is reached the quick ones wait for the slow. Who takes nothing for some seconds, because its store is
away, is waited for no longer: it reads by itself, as does who begins far behind, until it has caught up.

Two that read much at the same speed would never meet: read models that begin a second apart, or where each was killed.
So whoever is ahead of somebody that is not far behind waits for it, for some seconds, once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from events.port import Stored

MOST_BYTES = 48 * 1024 * 1024
PATIENCE_S = 10.0
_MOST_BATCHES = 4096
# What all have taken is kept a little longer, for those who begin at the same time and find the beginning gone: a
# quarter of the bytes, and so many batches.
_LATE_BATCHES = 64
NEAR = 5000
"""Messages behind which somebody is not far."""
MEETING_S = 3.0
_LOOK_S = 0.1
Batches = AsyncGenerator[list[Stored]]


@dataclass(eq=False, slots=True)
class _Follower:
    """``next``: the sequence it wants; ``done``: all before it was taken, and the next was asked for; ``at``: when it
    last took something, on the loop's clock."""

    next: int
    done: int
    at: float


class SharedReading:
    """What the followers of one connection share.

    Args:
        read: a way through the stream from a sequence on, for ever.
    """

    def __init__(
        self,
        read: Callable[[int], Batches],
        *,
        most: int = MOST_BYTES,
        patience_s: float = PATIENCE_S,
        meeting_s: float = MEETING_S,
    ) -> None:
        self._read = read
        self._most, self._patience_s, self._meeting_s = most, patience_s, meeting_s
        self._ring: deque[list[Stored]] = deque()
        self._bytes = 0
        self._end = 0  # the last sequence that was fetched
        self._clear = 0  # up to here all have taken it, and nothing that was made of it is left
        self._source: Batches | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._followers: set[_Follower] = set()
        self._alone_until: dict[_Follower, float] = {}  # who reads by itself, and until when it is waited for
        self._moved = asyncio.Event()

    async def follow(self, first: int) -> Batches:
        """Messages from a sequence on, for ever. Raises what reading raises."""
        follower = _Follower(first, first, asyncio.get_running_loop().time())
        try:
            while True:
                if not self._joined(follower):
                    async with aclosing(self._alone(follower)) as batches:
                        async for found in batches:
                            yield found
                    continue
                found = self._taken(follower)
                if found:
                    yield found
                else:
                    await self._more()
        finally:
            self._followers.discard(follower)
            self._moved.set()
            if not self._followers:
                await self._end_fetching()

    def _joined(self, follower: _Follower) -> bool:
        """Let it in if what it wants is kept, or comes next; from then on nothing is forgotten that it has not taken.

        Where nobody follows, it decides what comes next.
        """
        if not self._followers and self._source is None:
            self._ring.clear()
            self._bytes, self._end = 0, follower.next - 1
            self._clear = self._end
        oldest = self._ring[0][0].sequence if self._ring else self._end + 1
        if oldest <= follower.next <= self._end + 1:
            if follower not in self._followers:
                follower.done, follower.at = follower.next, asyncio.get_running_loop().time()
                self._followers.add(follower)
            return True
        self._followers.discard(follower)
        return False

    async def _alone(self, follower: _Follower) -> Batches:
        """By itself, until what it wants next is kept."""
        until = asyncio.get_running_loop().time() + self._meeting_s
        self._alone_until[follower] = until
        try:
            async with aclosing(self._read(follower.next)) as batches:
                async for found in batches:
                    follower.next = found[-1].sequence + 1
                    self._moved.set()
                    yield found
                    # Before this reading is closed, which takes a while: what is kept now may be gone then.
                    if await self._met(follower, until):
                        return
        finally:
            del self._alone_until[follower]

    async def _met(self, follower: _Follower, until: float) -> bool:
        """Whether it has joined the others; if it is a little ahead of them, it lets them come."""
        while not self._joined(follower):
            ahead = follower.next - self._end - 1
            if not 0 < ahead <= NEAR or asyncio.get_running_loop().time() > until:
                return False
            await self._moment(_LOOK_S)
        return True

    def _awaits(self) -> bool:
        """Whether somebody that reads by itself is a little behind, and waited for."""
        now = asyncio.get_running_loop().time()
        return any(now < until and 0 < self._end + 1 - each.next <= NEAR for each, until in self._alone_until.items())

    async def _moment(self, longest_s: float) -> None:
        """Wait until somebody has moved, but not for long."""
        self._moved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._moved.wait()

    def _taken(self, follower: _Follower) -> list[Stored]:
        """The first messages that it has not taken yet; none if there are no more."""
        follower.done, chosen = follower.next, []
        for batch in reversed(self._ring):
            if batch[-1].sequence < follower.next:
                break
            chosen = batch
        if not chosen:
            self._forget()
            return chosen
        found = [each for each in chosen if each.sequence >= follower.next]
        follower.next = chosen[-1].sequence + 1
        follower.at = asyncio.get_running_loop().time()
        self._forget()
        return found

    def _forget(self) -> None:
        """What all have taken: at once what was made of it, and a little later the messages."""
        needed = min(each.done for each in self._followers)
        for batch in self._ring:
            if batch[-1].sequence >= needed:
                break
            if batch[-1].sequence > self._clear:
                self._clear = batch[-1].sequence
                for each in batch:
                    each.notes.clear()
        while self._ring and self._ring[0][-1].sequence < needed:
            if self._bytes <= self._most // 4 and len(self._ring) <= _LATE_BATCHES:
                break
            self._bytes -= sum(len(each.raw) for each in self._ring.popleft())
            self._moved.set()

    @property
    def _full(self) -> bool:
        return self._bytes > self._most or len(self._ring) > _MOST_BATCHES

    async def _more(self) -> None:
        """Wait until something more was fetched; whoever waits first fetches for all."""
        if self._full and not self._leave_behind():
            await self._moment(self._patience_s / 10)
            return
        if self._awaits():
            await self._moment(_LOOK_S)
            return
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: whoever leaves does not take it from the others.
        await asyncio.shield(self._fetching)

    def _leave_behind(self) -> bool:
        """Forget what only those want who have not moved for long; whether there is room now."""
        now = asyncio.get_running_loop().time()
        moving = [each for each in self._followers if now - each.at < self._patience_s or each.next > self._end]
        self._followers.intersection_update(moving)
        if self._followers:
            self._forget()
        return not self._full

    async def _fetch(self) -> None:
        try:
            if self._source is None:
                self._source = self._read(self._end + 1)
            found = await anext(self._source)
            self._ring.append(found)
            self._bytes += sum(len(each.raw) for each in found)
            self._end = found[-1].sequence
        except BaseException:
            self._source = None  # it has ended with this
            raise
        finally:
            self._fetching = None
            self._moved.set()

    async def _end_fetching(self) -> None:
        fetching, source = self._fetching, self._source
        self._source = self._fetching = None
        self._ring.clear()
        if fetching is not None:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        if source is not None:
            await source.aclose()
