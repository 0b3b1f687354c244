"""A named seat that one contender has at a time: a group with one partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from events.leadership.group import Group, Taken
from events.leadership.port import Keys
from events.leadership.session import LEASE_S

_log = logging.getLogger(__name__)
Work = Callable[[Taken], Coroutine[Any, Any, None]]
"""What the holder does; it is given how it got the seat."""


class Seat:
    """Stand for a seat.

    Args:
        name: of the seat, such as ``scaler`` or ``guardian``: contenders for one seat use the same.
        who: this contender, a token no other has.
    """

    def __init__(self, keys: Keys, name: str, who: str, *, lease_s: float = LEASE_S) -> None:
        self.group = Group(keys, name, who, lease_s=lease_s)
        self._name = name

    @property
    def held(self) -> bool:
        """Whether it is ours at this moment."""
        return self.group.holds(0)

    async def run(self, work: Work) -> None:
        """Stand for the seat for ever; while it is ours, ``work`` runs.

        ``work`` is cancelled when the lease ends or the seat is lost, and started anew when it is ours again. Its term,
        ``taken.terms[0]``, is greater than those of all earlier holders: what it writes may be fenced with it. If it
        ends by itself or fails, so does this. When this is cancelled, the seat is given up at once.
        """
        holder = _Holder(self._name, work)
        standing = asyncio.create_task(self.group.run(holder))
        try:
            await asyncio.wait({standing, holder.ended}, return_when=asyncio.FIRST_COMPLETED)
            if holder.ended.done():
                return holder.ended.result()
            standing.result()
        finally:
            standing.cancel()
            await asyncio.gather(standing, return_exceptions=True)
            if holder.ended.done() and not holder.ended.cancelled():
                holder.ended.exception()


class _Holder:
    """The :class:`~events.leadership.group.Hands` of a seat."""

    def __init__(self, name: str, work: Work) -> None:
        self._name, self._work = name, work
        self._taken: Taken | None = None
        self._working: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def prepare(self, parts: frozenset[int]) -> None:
        """Nothing to read beforehand."""

    async def take(self, taken: Taken) -> None:
        self._taken = taken
        _log.info("%s: elected, term %d", self._name, taken.terms[0])
        self._begin()

    def lapse(self) -> None:
        if self._working is not None:
            self._working.cancel()

    async def resume(self) -> None:
        if self._taken is not None:
            await self._stop()
            self._begin()

    async def give(self, parts: frozenset[int]) -> None:
        if self._taken is not None:
            _log.info("%s: the seat of term %d is given up", self._name, self._taken.terms[0])
        self._taken = None
        await self._stop()

    def _begin(self) -> None:
        assert self._taken is not None
        self._working = asyncio.create_task(self._work(self._taken))
        self._working.add_done_callback(self._note)

    async def _stop(self) -> None:
        working, self._working = self._working, None
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    def _note(self, working: asyncio.Task[None]) -> None:
        if working.cancelled() or self.ended.done():
            return
        error = working.exception()
        if error is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)
