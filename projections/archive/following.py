"""The role ``archive``: follow the log from where the archive ends, and commit what came."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from events.port import Log, Stored, Window
from projections.archive.commits import Manifest
from projections.archive.messages import Message, decode, whole
from projections.archive.places import Place
from projections.archive.reader import ArchiveReader
from projections.archive.repairing import DAMAGED, hole_of, no_way_on, put_absent, set_aside_unreadable
from projections.archive.sweeping import Clock, sweep
from projections.archive.writer import ArchiveWriter
from schemas.errors import Conflict, InvalidInput, StigmergyError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is committed: so many events, so many bytes, so many seconds after its first; and the pause before
    what failed is tried again."""

    events: int = 100_000
    bytes: int = 64 * 1024 * 1024
    seconds: float = 60.0
    retry_s: float = 5.0


@dataclass
class _Buffer:
    """What follows the sequence ``end`` of the archive; ``until`` is the last that may go into this batch."""

    end: int
    until: int | None
    since: float = 0.0
    size: int = 0
    events: int = 0
    last: int = 0
    messages: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self.events += message.many
        self.size += message.size

    def reach(self, last: int, now: float) -> None:
        """Everything up to ``last`` is in it, or could not be read."""
        if not self.last:
            self.since = now
        self.last = min(last, self.until or last)


class ArchiveRole:
    """Follows a log into an archive. Safe to kill at any moment; see decision 10.

    Attributes:
        end: the last sequence that is known to be archived, with everything before it.
        trouble: what it waits for at present; empty if it works.

    Args:
        committed: called after every commit with the last sequence that is archived.
    """

    def __init__(
        self,
        log: Log,
        place: Place,
        limits: Limits | None = None,
        committed: Callable[[int], None] = lambda _: None,
        calendar: Clock = time.time,
    ) -> None:
        self._stream = log
        self._place = place
        self._limits = limits or Limits()
        self._writer = ArchiveWriter(place, calendar)
        self._committed = committed
        self.end = 0
        self.trouble = ""

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Archive for ever. A full disk or a place that is away is waited for; the log keeps what is to come.

        Raises:
            Conflict: another writer is at work on this archive.
            InvalidInput: the archive is of another log, or the log no longer has what follows on the archive.
            ArchiveDamaged: a commit cannot be read, and the log no longer has its events.
            LogUnavailable: the log is gone for good.
        """
        await self._mend_commits()
        await self._patiently(lambda: sweep(self._place))
        found = await self._patiently(self._writer.look)
        await check_same_log(self._stream, self._place, found)
        while True:
            found = await self._joined(found)
            if ready is not None:
                ready.set()
            await self._follow(found)
            found = await self._patiently(self._writer.look)

    async def _mend_commits(self) -> None:
        """A commit that cannot be read is set aside where the log still has its events; they are archived again."""
        aside, _ = await self._patient(lambda: set_aside_unreadable(self._place, self._stream))
        for path in aside:
            _log.error("%s cannot be read: it is set aside in %s/, and its events are archived again", path, DAMAGED)

    async def _joined(self, found: Manifest) -> Manifest:
        """The log goes on where the archive ends, or a new archive begins where the log does; else it is an error."""
        first = (await self._stream.oldest())[0]
        hole = hole_of(found, first)
        if hole is not None and found.commits:
            raise no_way_on(self._place, hole)
        if hole is not None:
            _log.warning("the log begins at %d: this archive will never have what was before", first)
            await self._patiently(lambda: put_absent(self._place, *hole))
            found = await self._patiently(self._writer.look)
        self.end = found.end
        return found

    async def _follow(self, found: Manifest) -> None:
        """Archive what comes; returns when a gap is filled, and the chain goes on behind it.

        While one batch is compressed and written, in a thread, the next one is read.
        """
        until = None if found.beyond_gap is None else found.beyond_gap - 1
        buffer = _Buffer(found.end, until)
        clock = asyncio.get_running_loop().time
        committing: asyncio.Task[None] | None = None
        async with aclosing(self._stream.messages(Window(first=found.end + 1))) as batches:  # type: ignore[type-var]
            coming = _next(batches)
            try:
                while True:
                    wait = None if not buffer.last else max(0.0, buffer.since + self._limits.seconds - clock())
                    watched: set[asyncio.Future[Any]] = {coming, *([committing] if committing is not None else [])}
                    await asyncio.wait(watched, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                    if committing is not None and committing.done():
                        committing.result()
                        committing = None
                    if coming.done():
                        batch, coming = coming.result(), _next(batches)
                        await self._take(batch, buffer, clock())
                    if self._is_due(buffer, clock()):
                        if committing is not None:
                            await committing
                        committing = asyncio.create_task(self._commit(buffer))
                        if buffer.last == until:
                            await committing
                            return
                        buffer = _Buffer(buffer.last, until)
            finally:
                coming.cancel()
                if committing is not None:
                    committing.cancel()
                await asyncio.gather(coming, *([committing] if committing is not None else []), return_exceptions=True)

    async def _take(self, batch: list[Stored], buffer: _Buffer, now: float) -> None:
        for stored in batch:
            if buffer.until is not None and stored.sequence > buffer.until:
                break
            try:
                message = await whole(decode(stored), self._stream.blobs)
            except InvalidInput as error:
                await self._stream.bury(stored, error)
                continue
            buffer.add(message)
        buffer.reach(batch[-1].sequence, now)

    def _is_due(self, buffer: _Buffer, now: float) -> bool:
        limits = self._limits
        full = buffer.events >= limits.events or buffer.size >= limits.bytes or buffer.last == buffer.until
        return bool(buffer.last) and (full or now >= buffer.since + limits.seconds)

    async def _commit(self, buffer: _Buffer) -> None:
        first, last, messages = buffer.end + 1, buffer.last, buffer.messages
        commit = await self._patiently(lambda: self._writer.commit(first, last, messages))
        _log.info("archived %d to %d: %d events, %d bytes", first, last, commit.events, commit.size)
        self.end = max(self.end, last)
        self._committed(last)

    async def _patiently[T](self, attempt: Callable[[], T]) -> T:
        return await self._patient(lambda: asyncio.to_thread(attempt))

    async def _patient[T](self, attempt: Callable[[], Awaitable[T]]) -> T:
        said = ""
        while True:
            try:
                result = await attempt()
                self.trouble = ""
            except Conflict:
                raise
            except StigmergyError as error:
                if not error.retryable:
                    raise
                if error.message != said:
                    _log.error("%s (%s); trying again every %g s", error.message, error.hint, self._limits.retry_s)
                said = self.trouble = error.message
                await asyncio.sleep(self._limits.retry_s)
            else:
                return result


async def check_same_log(log: Log, place: Place, found: Manifest) -> None:
    """The archive's last event is the log's event of that number, unless the log no longer has it.

    Raises:
        InvalidInput: it is another event, or the log is shorter than the archive.
    """
    hint = "set STIGMERGY_ARCHIVE_URL to another place, or restore the log: stig archive restore"
    newest = await log.last_sequence()
    if newest < found.end:
        raise InvalidInput(
            f"the archive {place.name} goes to {found.end} and the log to {newest}: it is of another log", hint=hint
        )
    number = max((file.last for commit in found.chain[-8:] for file in commit.files), default=0)
    if not number:
        return
    ours = await asyncio.to_thread(lambda: [each.id for each in ArchiveReader(place).read(first=number, last=number)])
    theirs = [event.id async for event in log.read(Window(first=number, last=number))]
    if theirs and ours != theirs:
        raise InvalidInput(
            f"event {number} of the archive {place.name} is not the log's: it is of another log", hint=hint
        )


def _next(batches: AsyncIterator[list[Stored]]) -> asyncio.Future[list[Stored]]:
    return asyncio.ensure_future(anext(batches))
