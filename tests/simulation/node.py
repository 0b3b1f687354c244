"""One process of the simulated fleet: its name, its own clocks, whether it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import ClassVar

from tests.simulation.virtual_time import BEGIN

type Effect = Callable[[], Awaitable[object]]
"""What a write does when it arrives."""


class Node:
    """A process on a machine of its own.

    Args:
        name: unique among all that ever ran.
        true: true virtual seconds.
        offset, drift: how the machine's clock is wrong: seconds, and seconds a second.
    """

    here: ClassVar[Node | None] = None
    """The process whose code runs at this moment, for code that asks a module for the time."""

    def __init__(self, name: str, true: Callable[[], float], *, offset: float = 0.0, drift: float = 0.0) -> None:
        self.name = name
        self._true = true
        self.offset, self.drift = offset, drift
        self.wrong_s = abs(offset)
        self.dead = self.deaf = False
        self.frozen_until = 0.0
        self.die: Callable[[], None] = lambda: None
        self.on_the_way: dict[int, Effect] = {}
        self.arriving: list[asyncio.Future[object]] = []
        self._sent = 0

    def sends(self, effect: Effect) -> int:
        """Note a write that is on its way; its number."""
        self._sent += 1
        self.on_the_way[self._sent] = effect
        return self._sent

    def clock(self) -> datetime:
        """What the machine's calendar says."""
        return BEGIN + timedelta(seconds=self.monotonic() + self.offset)

    def monotonic(self) -> float:
        """Seconds that only ever grow, though not at the right pace."""
        return self._true() * (1.0 + self.drift)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Code in this block runs in the process."""
        before, Node.here = Node.here, self
        try:
            yield
        finally:
            Node.here = before
