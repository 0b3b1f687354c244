"""Who follows a shared log: what each of them wants to see, what waits for it, and when it is handed over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from events.memory import matches
from events.port import Batch, Wants
from schemas.envelope import Event

_ALL = "events.>"
_ANYWHERE = "events.*.*."
_LEAST_PARTS = 5
_MOST_KNOWN = 4096
_MOST_WAITING = 10_000


class Follower:
    """One who follows: what waits for it, and what it wants to see.

    Attributes:
        first: the sequence from which on it follows.
        behind: something is to be handed over to it.
    """

    behind = False

    def __init__(self, filters: tuple[str, ...], asked: Wants) -> None:
        self.first = 1
        self._asked = asked
        self._choice = Choice(filters)
        self._waiting: deque[Event] = deque()
        self._last = 0
        self._news = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def full(self) -> bool:
        """Whether the reader has to wait for it."""
        return len(self._waiting) >= _MOST_WAITING

    def put(self, messages: Sequence[tuple[str, list[Event]]], last: int) -> bool:
        """Keep for it what it wants of what is known up to ``last``. Whether that has to be handed over at once."""
        for subject, events in messages:
            self._keep(subject, events)
        self._last = last
        self._news.set()
        return False

    def _keep(self, subject: str, events: list[Event]) -> bool:
        kept = bool(events) and self.wants(subject, events[0].sequence)
        if kept:
            self._waiting.extend(events)
        return kept

    def hand_over(self) -> None:
        """Nothing: it comes for what waits."""

    def wants(self, subject: str, sequence: int) -> bool:
        """Whether it is for this follower."""
        return sequence >= self.first and self._choice.has(subject) and self._asked(subject, sequence)

    def fail(self, error: BaseException) -> None:
        self._failure = error
        self._news.set()

    async def next(self) -> Batch:
        """All that waits, once something does. Raises what ended the reader."""
        await self._news.wait()
        if self._failure is not None:
            raise self._failure
        self._news.clear()
        return self._taken()

    def _taken(self) -> Batch:
        batch = Batch(tuple(self._waiting), self._last)
        self._waiting.clear()
        return batch


class Attending(Follower):
    """One who is handed what waits for it: at once with a message that matches ``pressing``."""

    def __init__(
        self, filters: tuple[str, ...], asked: Wants, attends: Callable[[Batch], None], pressing: Sequence[str]
    ) -> None:
        super().__init__(filters, asked)
        self._attends = attends
        self._pressing = Choice(tuple(pressing))
        self._handing = False

    def put(self, messages: Sequence[tuple[str, list[Event]]], last: int) -> bool:
        pressing = False
        for subject, events in messages:
            pressing = (self._keep(subject, events) and self._pressing.has(subject)) or pressing
        self._last, self.behind = last, True
        return pressing

    def hand_over(self) -> None:
        """Hand over what waits, if anything does."""
        # Whoever takes it may write to a log that has it at once: what comes of that is next, and not in between.
        while self.behind and self._failure is None and not self._handing:
            self._handing, self.behind = True, False
            try:
                self._attends(self._taken())
            except Exception as error:  # noqa: BLE001 - it is its own, not of whoever wrote the message
                self.fail(error)
            finally:
                self._handing = False

    async def failed(self) -> None:
        """Raises what ended the reader, or what it was handed to, once something does."""
        await self._news.wait()
        if self._failure is not None:
            raise self._failure


class Choice:
    """Which subjects match some filters; remembered, for a process meets few kinds of them."""

    def __init__(self, filters: tuple[str, ...]) -> None:
        self._filters = filters
        self._anywhere = all(each == _ALL or each.startswith(_ANYWHERE) for each in filters)
        self._known: dict[str, bool] = {}
        self._newest, self._had = "", False

    def has(self, subject: str) -> bool:
        if subject is not self._newest:  # each message is asked about more than once
            self._newest, self._had = subject, self._matches(subject)
        return self._had

    def _matches(self, subject: str) -> bool:
        parts = subject.split(".")
        if not self._anywhere or len(parts) < _LEAST_PARTS:  # others' messages may have any subject
            return any(matches(subject, each) for each in self._filters)
        # What comes after tenant and mission decides; keys differ each time, so only that there is one is remembered.
        _, _, _, noun, verb, *key = parts
        ending = f"{noun}.{verb}.+" if key else f"{noun}.{verb}"
        known = self._known.get(ending)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[ending] = any(matches(subject, each) for each in self._filters)
        return known
