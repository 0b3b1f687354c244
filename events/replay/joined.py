"""One reader over what was kept elsewhere and the log: by sequence, without a gap, nothing twice.

The older part is read first, as far as it goes; what follows is read from the log. Both carry the sequences of the same
log, so the seam is a number. Three things may happen at it, and each is looked for rather than hoped against: the log
forgets messages while they are being read (its retention), the archive grows meanwhile, and neither has some range.

A reader of JetStream is not told what the log has forgotten before it came: it is simply handed what is left. Therefore
every batch from the log is only believed if afterwards its beginning is still there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol

from events.port import Batch, Log, Window
from events.replay.slices import Slice
from schemas.envelope import Event
from schemas.errors import StigmergyError, Unavailable

_SKEW = timedelta(minutes=5)
"""Clocks of writers may be ahead of the log's by so much: what is wanted from 12:00 on may be stored at 11:56."""
_CHUNK = 1000
_BEGINNING = "mission.submitted"


class EventsLost(Unavailable):
    """Neither the log nor the archive has a range of sequences."""

    code = "events_lost"
    retryable = False


class History(Protocol):
    """Older events, kept outside the log under the sequences of the log."""

    def read(self, wanted: Slice, after: int) -> AsyncGenerator[Batch]:
        """Batches from ``after + 1`` on, without a gap, as far as it goes now.

        They hold at least what is wanted, perhaps more; ``last`` is the sequence up to which nothing is missing.
        It ends at once if it does not have the very next sequence.

        Raises:
            StigmergyError: a part of it cannot be read; what came before was right.
        """

    async def count(self, wanted: Slice, after: int) -> tuple[int, int]:
        """How many events it holds of a slice that is ``in_columns``, and the sequence up to which it counted."""
        ...


class JoinedSource:
    """The events of a slice, older ones from the history where there is one.

    Args:
        note: told, once, what could not be had in spite of all.
    """

    def __init__(
        self, log: Log, history: History | None, wanted: Slice, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._log = log
        self._history = history
        self._wanted = wanted
        self._note = note

    async def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        """In the order of the log, those behind a sequence; with ``follow`` it waits for more instead of ending.

        Raises:
            EventsLost: a range is in neither, although there is a history.
        """
        async with aclosing(self.batches(follow=follow, after=after)) as batches:
            async for batch in batches:
                for event in batch.events:
                    yield event

    async def batches(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Batch]:
        """The same, several at a time; ``last`` is how far nothing is missing."""
        end = None if follow else await self._log.last_sequence()
        at, asked_again = after, -1
        while end is None or at < end:
            async with aclosing(self._older(at)) as older:
                async for batch in older:
                    at = batch.last
                    yield self._chosen(batch, end)
            oldest = await self._oldest_needed(at)
            if oldest > at + 1:
                if asked_again == at:
                    self._lost(at + 1, oldest - 1)
                    at = oldest - 1
                asked_again = at  # the history may have gone on in the meantime
                continue
            async with aclosing(self._newer(at, end)) as newer:
                async for batch in newer:
                    if await self._oldest_needed(at) > at + 1:
                        break  # forgotten while it was on its way: the history may have it by now
                    at = batch.last
                    yield self._chosen(batch, end)
                else:
                    return

    async def count(self) -> int:
        """How many events there are; of the older part without making them, where that can be. Raises as above."""
        counted = at = 0
        wanted = self._wanted
        if self._history is not None and wanted.in_columns:
            try:
                counted, at = await self._history.count(wanted, 0)
            except StigmergyError:
                counted = at = 0  # reading tells what is wrong, or does without
        async with aclosing(self.batches(follow=False, after=at)) as batches:
            async for batch in batches:
                counted += len(batch.events)
        return counted

    def _chosen(self, batch: Batch, end: int | None) -> Batch:
        wanted = self._wanted
        events = [event for event in batch.events if wanted.holds(event) and (end is None or event.sequence <= end)]
        return Batch(tuple(events), batch.last)

    async def _older(self, at: int) -> AsyncGenerator[Batch]:
        if self._history is None:
            return
        try:
            async with aclosing(self._history.read(self._wanted, at)) as batches:
                async for batch in batches:
                    at = batch.last
                    yield batch
        except StigmergyError as error:
            if await self._oldest_needed(at) > at + 1:
                raise
            self._note(f"{error.message}; what follows is read from the log")

    async def _oldest_needed(self, at: int) -> int:
        """The first sequence from which on the log has everything that is wanted and not had yet."""
        oldest, stored = await self._log.oldest()
        since = self._wanted.since
        # What was forgotten is older than what is left: it cannot be wanted if that is older than the time begins.
        if since is not None and stored is not None and stored <= since - _SKEW:
            return min(oldest, at + 1)
        return oldest

    def _lost(self, first: int, last: int) -> None:
        said = f"the log no longer has the sequences {first:,} to {last:,}"
        if self._history is None:
            self._note(f"{said}, and there is no archive")
            return
        raise EventsLost(
            f"{said}, and the archive does not have them either",
            hint="put the missing commits back (stig archive verify names them), or read the log alone: --no-archive",
        )

    async def _newer(self, at: int, end: int | None) -> AsyncGenerator[Batch]:
        since = self._wanted.since - _SKEW if self._wanted.since is not None else None
        window = Window(self._wanted.filters, at + 1, end, since)
        if end is None:
            async with aclosing(self._log.follow(window)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
            return
        chunk: list[Event] = []
        async with aclosing(self._log.read(window)) as events:  # type: ignore[type-var]
            async for event in events:
                if len(chunk) >= _CHUNK and event.sequence != chunk[-1].sequence:  # frames stay whole
                    yield Batch(tuple(chunk), chunk[-1].sequence)
                    chunk = []
                chunk.append(event)
        yield Batch(tuple(chunk), end)


class MissionSource(JoinedSource):
    """All events of one mission. What is lost of others does not matter to it, as long as it has its beginning."""

    def __init__(
        self, log: Log, history: History | None, tenant: str, mission: str, note: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(log, history, Slice(tenant, mission), note)

    async def batches(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Batch]:
        begun = after > 0
        try:
            async with aclosing(super().batches(follow=follow, after=after)) as batches:
                async for batch in batches:
                    begun = begun or bool(batch.events)
                    yield batch
        except EventsLost as error:
            if begun:
                raise
            lost = error
        else:
            return
        async with aclosing(JoinedSource(self._log, None, self._wanted).batches(follow=follow)) as batches:
            async for batch in batches:
                if batch.events and not begun:
                    begun = batch.events[0].type == _BEGINNING
                    if not begun:
                        raise lost
                yield batch
        if not begun:
            raise lost


class LogSource(MissionSource):
    """A mission as the log alone has it."""

    def __init__(self, log: Log, tenant: str, mission: str) -> None:
        super().__init__(log, None, tenant, mission)
