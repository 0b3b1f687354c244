"""The role ``analytics``: follow the log into ClickHouse; while one batch is inserted the next is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from events.port import Log, Stored, Window
from projections.analytics.ddl import Layout
from projections.analytics.engine import Engine
from projections.analytics.gathering import Gathering, Limits
from projections.analytics.ranges import Progress, Range, Ranges
from projections.analytics.rebuilding import fold, refuse_if_shorter
from projections.analytics.store import Generation, Store
from projections.patience import patiently
from projections.port import Progress as Tell
from schemas.errors import InvalidInput, Refused, StigmergyError

_log = logging.getLogger(__name__)


class _Switched(Exception):
    """Another generation is in use now."""


class AnalyticsRole:
    """Follows a log into a ClickHouse. Safe to kill at any moment; see decision 11.

    Args:
        writer: a name for this process, shown in the table ``progress``.
        committed: called after every insert with the last sequence that is in the store.
    """

    name = "analytics"

    def __init__(
        self,
        log: Log,
        engine: Engine,
        *,
        writer: str,
        layout: Layout | None = None,
        limits: Limits | None = None,
        committed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._stream = log
        self._engine = engine
        self._limits = limits or Limits()
        self._store = Store(engine, layout or Layout(), writer)
        self._committed = committed
        self._generation: Generation | None = None
        self._gate = asyncio.Lock()  # held while a batch is inserted, and while another generation takes over
        self._switched = asyncio.Event()
        self._rebuilding = False

    @property
    def engine(self) -> Engine:
        """The engine, for questions: chDB lets nobody else have one on its directory."""
        return self._engine

    @property
    def database(self) -> str | None:
        """The database whose tables are to be read, another one after a rebuild; None until the store is open."""
        return self._generation.database if self._generation is not None else None

    async def position(self) -> int:
        """The sequence up to which the log is in the store; 0 if nothing is.

        Raises:
            DiskFull, AnalyticsUnavailable: the store cannot say so now.
        """
        if self._generation is None:
            return 0
        ranges = self._store.ranges(self._generation)
        return (await asyncio.to_thread(ranges.progress)).end

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Follow for ever. A store that is away or full is waited for; the log keeps what is to come.

        Raises:
            AnotherSink: another process writes to the same store.
            InvalidInput: the store is of another log, or of a later release.
            LogUnavailable: the log is gone for good.
        """
        try:
            opened = await self._try(self._store.open)
            await self._check_same_log(opened)
            self._generation = opened
            if ready is not None:
                ready.set()
            while True:
                self._switched.clear()
                with suppress(_Switched):
                    await self._follow(self._generation)
        finally:
            await asyncio.shield(asyncio.to_thread(self._engine.close))

    async def rebuild(self, to: int | None, progress: Tell) -> int:
        """Fold the log anew into the next generation, then use that one. See :class:`projections.port.Projection`.

        Raises:
            Refused: one is under way, the role has not begun, there is no such position, or the log no longer begins
                where what is stored began.
        """
        current = self._generation
        if self._rebuilding or current is None:
            raise Refused("analytics are not ready to be rebuilt: they are being opened or rebuilt", hint="wait")
        self._rebuilding = True
        try:
            newest = await self._stream.last_sequence()
            if to is not None and not 0 <= to <= newest:
                raise Refused(f"there is no position {to}: the log goes to {newest}", hint=f"choose 0 to {newest}")
            await refuse_if_shorter(self._stream, self._store, current)
            return await self._rebuilt(current, newest if to is None else to, to is not None, progress)
        finally:
            self._rebuilding = False

    async def _rebuilt(self, current: Generation, target: int, frozen: bool, progress: Tell) -> int:
        fresh = await self._try(lambda: self._store.begin(current, frozen=frozen))
        ranges = self._store.ranges(fresh)
        await fold(self._stream, ranges, self._limits, 0, target, progress)
        async with self._gate:
            end = target
            if not frozen:
                end = max(target, (await self._try(self._store.ranges(current).progress)).end)
                await fold(self._stream, ranges, self._limits, target, end, progress)
            await self._try(lambda: self._store.switch(fresh))
            self._generation = fresh
            self._switched.set()
        await self._try(lambda: self._store.drop(current))
        return end

    async def _follow(self, generation: Generation) -> None:
        if generation.frozen:
            _log.info("analytics stay where they were rebuilt to, until they are rebuilt without a position")
            await self._switched.wait()
            return
        ranges = self._store.ranges(generation)
        found: Progress = await self._try(ranges.progress)
        if found.open is not None:
            await self._complete(generation, ranges, found.open)
            return
        gathering = Gathering(self._stream, self._limits, found.end)
        inserting: asyncio.Task[None] | None = None
        switched = asyncio.ensure_future(self._switched.wait())
        async with aclosing(self._stream.messages(Window(first=found.end + 1))) as batches:  # type: ignore[type-var]
            coming = _next(batches)
            try:
                while True:
                    if inserting is not None and inserting.done():
                        inserting.result()
                        inserting = None
                    if switched.done():
                        raise _Switched
                    if inserting is None and self._is_due(gathering):
                        inserting = asyncio.create_task(self._insert(generation, ranges, gathering))
                        gathering = Gathering(self._stream, self._limits, gathering.last)
                    # A full batch waits for the one before it; meanwhile nothing more is asked of the log.
                    sources: list[asyncio.Future[Any]] = [switched, *([] if gathering.full else [coming])]
                    sources += [] if inserting is None else [inserting]
                    wait_s = self._wait_s(gathering, inserting)
                    await asyncio.wait(sources, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    if coming.done() and not gathering.full:
                        rest = await gathering.add(coming.result())
                        coming = _ready(rest) if rest else _next(batches)
            finally:
                for each in (coming, switched, inserting):
                    await _ended(each)

    def _is_due(self, gathering: Gathering) -> bool:
        if gathering.empty:
            return False
        return gathering.full or self._wait_s(gathering, None) == 0.0

    def _wait_s(self, gathering: Gathering, inserting: asyncio.Task[None] | None) -> float | None:
        if gathering.empty or inserting is not None:
            return None
        return max(0.0, gathering.since + self._limits.seconds - asyncio.get_running_loop().time())

    async def _insert(self, generation: Generation, ranges: Ranges, gathering: Gathering) -> None:
        chosen, rows = Range(gathering.first, gathering.last), await gathering.table()
        async with self._gate:
            if self._generation is not generation:
                raise _Switched
            await self._try(lambda: ranges.commit(chosen, rows))
        _log.debug("inserted %d to %d: %d rows", chosen.first, chosen.last, rows.num_rows)
        self._committed(chosen.last)

    async def _complete(self, generation: Generation, ranges: Ranges, chosen: Range) -> None:
        """Insert exactly what was promised, by us before we were killed or by somebody else."""
        unlimited = Limits(rows=2**62, bytes=2**62, seconds=self._limits.seconds, retry_s=self._limits.retry_s)
        await fold(self._stream, ranges, unlimited, chosen.first - 1, chosen.last, lambda *_: None)
        self._committed(chosen.last)

    async def _check_same_log(self, generation: Generation) -> None:
        hint = "set STIGMERGY_CLICKHOUSE_URL to another database, or remove that one"
        ranges = self._store.ranges(generation)
        end = (await self._try(ranges.progress)).end
        newest = await self._stream.last_sequence()
        if newest < end:
            raise InvalidInput(
                f"{self._engine.name} goes to {end} and the log to {newest}: it is of another log", hint=hint
            )
        kept = await self._try(lambda: self._store.event_at(generation, end)) if end else None
        theirs = [event.id async for event in self._stream.read(Window(first=end, last=end))] if kept else []
        if theirs and kept not in theirs:
            raise InvalidInput(f"event {end} in {self._engine.name} is not the log's: it is of another log", hint=hint)

    async def _try[T](self, call: Callable[[], T]) -> T:
        return await patiently(lambda: asyncio.to_thread(call), self._limits.retry_s)


def _next(batches: AsyncIterator[list[Stored]]) -> asyncio.Future[Sequence[Stored]]:
    async def one() -> Sequence[Stored]:
        return await anext(batches)

    return asyncio.ensure_future(one())


def _ready(rest: Sequence[Stored]) -> asyncio.Future[Sequence[Stored]]:
    future: asyncio.Future[Sequence[Stored]] = asyncio.get_running_loop().create_future()
    future.set_result(rest)
    return future


async def _ended(future: asyncio.Future[Any] | None) -> None:
    """Let it go. A thread that inserts cannot be stopped: what it does is promised, so that it may be done again."""
    if future is None:
        return
    future.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration, StigmergyError, _Switched):
        await future
