"""The :class:`~events.port.Log` in memory, for unit tests and simulations; the real one has the same contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from events.appending import append_framed
from events.blobs.memory import MemoryBlobs
from events.blobs.port import BlobStore
from events.codec import check_in, check_out, decode, encode, frame_id, subject_of
from events.port import Ack, Batch, DeadLetter, Delivery, Guard, Stored, Subscription, Wants, Window, Write, everything
from schemas.envelope import Event
from schemas.errors import Conflict, InvalidEvent, InvalidInput, LimitExceeded, PayloadTooLarge, StigmergyError
from schemas.events import type_named

_MESSAGE_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Stored(Stored):
    at: datetime


@dataclass
class _Durable:
    """``waiting`` holds what has to be delivered again, and how often it was already."""

    next: int
    waiting: list[tuple[_Stored, int]] = field(default_factory=list)


class MemoryLog:
    """A log that lives as long as the object. All bytes pass through the codec: nothing is shared by reference."""

    def __init__(self) -> None:
        self.blobs: BlobStore = MemoryBlobs()
        self._messages: list[_Stored] = []
        self._ids: dict[str, int] = {}
        self._durables: dict[str, _Durable] = {}
        self._dead: dict[int, DeadLetter] = {}
        self._buried: set[str] = set()
        self._news = asyncio.Event()
        self._forgotten = 0

    async def close(self) -> None:
        """Nothing to let go."""

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        return [await self._prepared(write) for write in writes]

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        return await append_framed(self.write, events, guard)

    async def _prepared(self, write: Write) -> Ack | StigmergyError:
        try:
            return await self._write(write)
        except StigmergyError as error:
            return error

    async def _write(self, write: Write) -> Ack | StigmergyError:
        subject = subject_of(write.events, write.key)
        events = [await check_in(event, self.blobs) for event in write.events]
        return await self.store(subject, encode(events)[0], write.id or frame_id(events), write.guard)

    async def store(
        self, subject: str, raw: bytes, message_id: str, guard: Guard | None = None
    ) -> Ack | StigmergyError:
        """Append bytes as any client of the bus could, well-formed or not."""
        if (known := self._ids.get(message_id)) is not None:
            return Ack(known, duplicate=True)
        if len(raw) > _MESSAGE_LIMIT:
            return PayloadTooLarge(f"a message of {len(raw):,} bytes is larger than the log takes")
        if guard is not None and self._last(guard.filter) != guard.last:
            return Conflict(f"another writer was first on {subject}: wrong last sequence: {self._last(guard.filter)}")
        sequence = len(self._messages) + 1
        self._messages.append(_Stored(sequence, subject, raw, datetime.now(UTC)))
        self._ids[message_id] = sequence
        self._tell()
        return Ack(sequence)

    async def oldest(self) -> tuple[int, datetime | None]:
        kept = self._messages[self._forgotten :]
        return self._forgotten + 1, kept[0].at if kept else None

    def forget(self, sequence: int) -> None:
        """Drop everything up to a sequence, as the retention of a real log does."""
        self._forgotten = max(self._forgotten, min(sequence, len(self._messages)))

    async def newest(self, subject: str) -> int:
        return self._last(subject)

    def _last(self, pattern: str) -> int:
        return next((m.sequence for m in reversed(self._messages[self._forgotten :]) if matches(m.subject, pattern)), 0)

    async def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        async for found in self._following(window, batch):
            wanted = [stored for stored in found if wants(stored.subject, stored.sequence)]
            events = [event for stored in wanted for event in await self._events(stored)]
            yield Batch(tuple(events), found[-1].sequence)

    async def messages(
        self, window: Window, *, batch: int = 500, known: Callable[[int], bool] | None = None
    ) -> AsyncIterator[list[Stored]]:
        async for found in self._following(window, batch):
            yield [Stored(each.sequence, each.subject, each.raw) for each in found]

    async def bury(self, stored: Stored, error: StigmergyError) -> None:
        self.lay_down(stored, error, "reader")

    async def _following(self, window: Window, batch: int) -> AsyncIterator[list[_Stored]]:
        first = window.first
        while True:
            found = self._after(first, window)[:batch]
            if not found:
                await self._news.wait()
                continue
            first = found[-1].sequence + 1
            yield found

    async def read(self, window: Window) -> AsyncIterator[Event]:
        last = window.last if window.last is not None else len(self._messages)
        for stored in self._after(window.first, window):
            if stored.sequence <= last:
                for event in await self._events(stored):
                    yield event

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[Delivery]:
        begin = len(self._messages) + 1 if subscription.start_new else 1
        durable = self._durables.setdefault(subscription.name, _Durable(begin))
        window = Window(subscription.filters)
        in_hand: dict[int, _MemoryDelivery] = {}
        try:
            while True:
                if durable.waiting:
                    stored, attempts = durable.waiting.pop(0)
                elif fresh := self._after(durable.next, window):
                    stored, attempts = fresh[0], 0
                    durable.next = stored.sequence + 1
                else:
                    await self._news.wait()
                    continue
                delivery = await self._deliver(subscription, durable, stored, attempts + 1)
                if delivery is not None:
                    in_hand = {number: each for number, each in in_hand.items() if not each.settled}
                    in_hand[stored.sequence] = delivery
                    yield delivery
        finally:
            for delivery in in_hand.values():
                await delivery.retry()

    async def _deliver(
        self, subscription: Subscription, durable: _Durable, stored: _Stored, attempts: int
    ) -> _MemoryDelivery | None:
        if attempts > subscription.max_deliver:
            self.lay_down(
                stored, LimitExceeded(f"{subscription.name} failed on it {attempts - 1} times"), subscription.name
            )
            return None
        try:
            events = await self._resolve(stored)
        except InvalidInput as error:
            self.lay_down(stored, error, subscription.name)
            return None
        return _MemoryDelivery(self, subscription.name, durable, stored, tuple(events), attempts)

    async def last_sequence(self) -> int:
        return len(self._messages)

    async def missions(self, types: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for name in types:
            type_named(name)
            for stored in self._messages[self._forgotten :]:
                if matches(stored.subject, f"events.*.*.{name}"):
                    _, tenant, mission, *_ = stored.subject.split(".")
                    counts = found.setdefault((tenant, mission), {})
                    counts[name] = counts.get(name, 0) + 1
        return found

    async def dead_letters(self) -> AsyncIterator[DeadLetter]:
        for letter in list(self._dead.values()):
            yield letter

    async def retry_dead_letter(self, sequence: int) -> int:
        letter = self._dead.get(sequence)
        if letter is None:
            raise InvalidInput(f"there is no dead letter {sequence}", hint="`stig events dead` lists them")
        if not letter.subject.startswith("events."):
            raise InvalidEvent(f"dead letter {sequence} was no event")
        result = await self.store(letter.subject, letter.raw, f"retry:{sequence}")
        if isinstance(result, StigmergyError):
            raise result
        del self._dead[sequence]
        return result.sequence

    def _after(self, first: int, window: Window) -> list[_Stored]:
        return [
            stored
            for stored in self._messages[max(first - 1, self._forgotten) :]
            if any(matches(stored.subject, pattern) for pattern in window.filters)
            and (window.since is None or stored.at >= window.since)
        ]

    def _tell(self) -> None:
        """Wake everybody who waits for news; who comes later waits for the next."""
        self._news.set()
        self._news = asyncio.Event()

    async def _resolve(self, stored: _Stored) -> list[Event]:
        return [await check_out(event, self.blobs) for event in decode(stored.raw, stored.subject, stored.sequence)]

    async def _events(self, stored: _Stored) -> list[Event]:
        try:
            return await self._resolve(stored)
        except InvalidInput as error:
            self.lay_down(stored, error, "reader")
            return []

    def lay_down(self, stored: Stored, error: StigmergyError, consumer: str) -> None:
        """Keep a message nobody can handle, once for each consumer that gave up."""
        if (key := f"{consumer}:{stored.sequence}") not in self._buried:
            self._buried.add(key)
            number = len(self._buried)
            self._dead[number] = DeadLetter(
                number, stored.subject, error.message, error.code, consumer, stored.sequence, stored.raw
            )

    def requeue(self, durable: _Durable, stored: _Stored, attempts: int) -> None:
        """Hand a message to a subscription again."""
        durable.waiting.append((stored, attempts))
        self._tell()


class _MemoryDelivery:
    def __init__(
        self, log: MemoryLog, name: str, durable: _Durable, stored: _Stored, events: tuple[Event, ...], attempts: int
    ) -> None:
        self._log, self._name, self._durable, self._stored = log, name, durable, stored
        self.events = events
        self.attempts = attempts
        self.settled = False

    async def ack(self) -> None:
        self.settled = True

    async def retry(self, delay_s: float = 0.0) -> None:
        if self.settled:
            return
        self.settled = True
        again = (self._durable, self._stored, self.attempts)
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self._log.requeue, *again)
        else:
            self._log.requeue(*again)

    async def reject(self, error: StigmergyError) -> None:
        if not self.settled:
            self.settled = True
            self._log.lay_down(self._stored, error, self._name)


@lru_cache(maxsize=65_536)
def matches(subject: str, pattern: str) -> bool:
    """Whether a subject matches a NATS pattern: ``*`` is one token, ``>`` at the end one or more."""
    left, right = subject.split("."), pattern.split(".")
    if right[-1] == ">":
        return len(left) >= len(right) and all(p in ("*", s) for s, p in zip(left, right[:-1], strict=False))
    return len(left) == len(right) and all(p in ("*", s) for s, p in zip(left, right, strict=True))
