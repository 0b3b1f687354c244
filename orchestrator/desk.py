"""One mission at hand, and what one role does with missions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.core.facts import Fact
from schemas.events import Payload


class Rules[S](Protocol):
    """What one role does with missions; implementations are pure."""

    subjects: tuple[str, ...]
    """What it reads, as endings of subjects; all that it writes is among it."""
    decides_on: tuple[str, ...]
    """What of it mostly leads to a decision, and is taken in before anything else."""

    def fresh(self, tenant: str, mission: str) -> S: ...
    def evolve(self, state: S, fact: Fact) -> S: ...
    def advance(self, state: S, now: datetime) -> list[Payload]: ...
    def timer(self, state: S) -> datetime | None: ...
    def seen(self, state: S) -> dict[str, int]: ...
    def ended(self, state: S) -> bool: ...
    def idle(self, state: S) -> bool:
        """Whether :meth:`advance` would certainly find nothing."""
        ...

    def read(self, before: S, fact: Fact) -> None:
        """Called with the state before a fresh fact that was folded: the place for effects that need no decision."""

    def taken_up(self, state: S) -> None:
        """Called when a mission was folded from the log: of its facts so far, :meth:`read` was told nothing."""

    def put_down(self, state: S) -> None:
        """Called when a mission is forgotten that others lead now."""

    def recorded(self, state: S, facts: Sequence[tuple[Payload, str]]) -> None:
        """Called after a decision is on the log: the place for effects, such as sending a message."""


class Desk[S]:
    """One mission at hand.

    Attributes:
        place: sequence and index of the newest event folded into ``state``.
        first: sequence of the submission; 0 if it was not read.
        passed_over: noun to the sequence of its newest message that could not be read; the guard counts those, too.
        lock: one decision at a time.
    """

    def __init__(self, tenant: str, mission: str, state: S) -> None:
        self.tenant = tenant
        self.mission = mission
        self.state = state
        self.place = (0, -1)
        self.first = 0
        self.passed_over: dict[str, int] = {}
        self.cause = ""
        self.correlation: str | None = None
        self.traceparent: str | None = None
        self.lock = asyncio.Lock()
        self.busy = False
        self.again = False


class News:
    """Wakes all who wait at a moment up at the next one."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until :meth:`tell` is called."""
        self._waiting.append(asyncio.get_running_loop().create_future())
        await self._waiting[-1]

    def tell(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                if not one.done():  # who gave up
                    one.set_result(None)


class Reach(Protocol):
    """Which missions one replica has to do with."""

    def reads(self, tenant: str, mission: str) -> bool:
        """Whether it folds them."""

    def leads(self, tenant: str, mission: str) -> bool:
        """Whether it decides, at this moment."""


class Everything:
    """All missions: the only replica there is, or one of several that nobody has shared missions out to."""

    def reads(self, tenant: str, mission: str) -> bool:
        return True

    def leads(self, tenant: str, mission: str) -> bool:
        return True


def newest_of(seen: dict[str, int], passed_over: dict[str, int]) -> dict[str, int]:
    """What a decision knows: noun to its newest message, read or passed over."""
    return seen | {noun: max(number, seen.get(noun, 0)) for noun, number in passed_over.items()}
