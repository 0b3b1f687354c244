"""The :class:`~events.port.Log` on JetStream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from events.appending import append_framed
from events.blobs.jetstream import JetStreamBlobs
from events.blobs.port import BlobStore
from events.codec import INLINE_LIMIT, check_in, check_out, decode, encode, frame_id, subject_of
from events.jetstream.api import call, soon
from events.jetstream.consumers import Consumers
from events.jetstream.dead_letters import DeadLetters
from events.jetstream.delivery import Deliveries
from events.jetstream.packing import packed, unpacked
from events.jetstream.place import Place, place_of
from events.jetstream.publisher import Message, Publisher
from events.jetstream.pull import ConsumerGone, Pull
from events.jetstream.reader import Reader, patiently
from events.jetstream.shared_reading import SharedReading
from events.jetstream.subjects import subjects_in
from events.port import Ack, Batch, DeadLetter, Delivery, Guard, Stored, Subscription, Wants, Window, Write, everything
from schemas.envelope import Event
from schemas.errors import InvalidInput, StigmergyError
from schemas.events import type_named
from schemas.subjects import EVENTS

_AT_ONCE = 500


class JetStreamLog:
    """A log that survives its processes. Use :meth:`open`."""

    def __init__(self, nc: Client, blobs: BlobStore, publisher: Publisher) -> None:
        self._nc = nc
        self._consumers = Consumers(nc)
        self._publisher = publisher
        self._dead = DeadLetters(nc, publisher)
        self._shared = SharedReading(lambda first: self._messages(Window(first=first), _AT_ONCE))
        self.blobs = blobs

    @classmethod
    async def open(cls, nc: Client, *, blobs: BlobStore | None = None) -> JetStreamLog:
        """A log over a connection; the streams must be there (``ensure_streams``)."""
        publisher = Publisher(nc)
        await publisher.open()
        return cls(nc, blobs or JetStreamBlobs(nc.jetstream()), publisher)

    async def close(self) -> None:
        """Flush what was published and close the connection."""
        if self._nc.is_connected:
            await self._nc.drain()
        else:  # there is nothing to flush to
            await self._nc.close()
        self._publisher.close()

    # writing

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        prepared = [await self._prepared(write) for write in writes]
        stored = iter(await self._publisher.store([each for each in prepared if isinstance(each, Message)]))
        return [next(stored) if isinstance(each, Message) else each for each in prepared]

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        return await append_framed(self.write, events, guard)

    async def _prepared(self, write: Write) -> Message | StigmergyError:
        events = write.events
        try:
            subject = subject_of(events, write.key)
            # Nearly all are small: awaiting each would cost more than encoding it.
            if max([len(e.data) for e in events]) > INLINE_LIMIT:
                events = tuple([await check_in(e, self.blobs) for e in events])
        except StigmergyError as error:
            return error
        whole, content_type = encode(events)
        payload, said = packed(whole)
        return Message(subject, payload, write.id or frame_id(events), content_type, write.guard, said)

    # reading

    async def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncGenerator[Batch]:
        async with Reader(self._nc, EVENTS, window, batch, patient=True) as reader:
            while True:
                messages = await reader.next()
                if messages:
                    wanted = [each for each in messages if wants(each[1].subject, each[0].sequence)]
                    events = [event for place, msg in wanted for event in await self._events(place, msg)]
                    yield Batch(tuple(events), messages[-1][0].sequence)

    def messages(
        self, window: Window, *, batch: int = _AT_ONCE, known: Callable[[int], bool] | None = None
    ) -> AsyncGenerator[list[Stored]]:
        if batch == _AT_ONCE and window == Window(first=window.first) and known is None:
            return self._shared.follow(window.first)
        return self._messages(window, batch, known)

    async def _messages(
        self, window: Window, batch: int, known: Callable[[int], bool] | None = None
    ) -> AsyncGenerator[list[Stored]]:
        async with Reader(self._nc, EVENTS, window, batch, patient=True, known=known) as reader:
            while True:
                found = await reader.next()
                if found:
                    yield [Stored(place.sequence, msg.subject, unpacked(msg.data)) for place, msg in found]

    async def bury(self, stored: Stored, error: StigmergyError) -> None:
        await self._dead.keep(stored, error, "reader")

    async def read(self, window: Window) -> AsyncIterator[Event]:
        last = window.last if window.last is not None else await self.last_sequence()
        if window.first > last:
            return
        async with Reader(self._nc, EVENTS, window, 1000) as reader:
            while reader.pending:
                for place, msg in await reader.next():
                    if place.sequence > last:
                        return
                    for event in await self._events(place, msg):
                        yield event
                    if place.sequence == last:
                        return

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[Delivery]:
        await self._consumers.durable(EVENTS, subscription)
        async with Deliveries(self._nc, subscription, self._dead.bury) as deliveries:
            while True:
                pull = Pull(self._nc, EVENTS, subscription.name, subscription.batch, deliveries.arrived)
                try:
                    async with pull:
                        while True:
                            for msg in await pull.next():
                                if (delivery := await deliveries.open(msg, self._resolve)) is not None:
                                    yield delivery
                except ConsumerGone:
                    # What is being worked on stays in hand: an acknowledgement finds its message on any connection.
                    await deliveries.give_back(pull.left)
                    await patiently(self._nc, lambda: self._consumers.durable(EVENTS, subscription))

    async def last_sequence(self) -> int:
        answer = await self._ask(f"STREAM.INFO.{EVENTS}")
        return int(answer["state"]["last_seq"])

    async def oldest(self) -> tuple[int, datetime | None]:
        state = (await self._ask(f"STREAM.INFO.{EVENTS}"))["state"]
        if not state["messages"]:
            return int(state["last_seq"]) + 1, None
        return int(state["first_seq"]), datetime.fromisoformat(state["first_ts"])

    async def newest(self, subject: str) -> int:
        return await soon(self._nc, lambda each_s: self._consumers.newest(EVENTS, subject, timeout_s=each_s))

    async def missions(self, types: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for name in types:
            type_named(name)
            async for subject, count in subjects_in(self._nc, EVENTS, f"events.*.*.{name}"):
                _, tenant, mission, *_ = subject.split(".")
                found.setdefault((tenant, mission), {})[name] = count
        return found

    async def _ask(self, subject: str) -> dict[str, Any]:
        return await soon(self._nc, lambda each_s: call(self._nc, subject, timeout_s=each_s))

    async def _resolve(self, msg: Msg) -> list[Event]:
        return await self._whole(decode(unpacked(msg.data), msg.subject, place_of(msg).sequence))

    async def _events(self, place: Place, msg: Msg) -> list[Event]:
        try:
            events = decode(unpacked(msg.data), msg.subject, place.sequence)
            return events if all(event.dataref is None for event in events) else await self._whole(events)
        except InvalidInput as error:
            await self._dead.bury(msg, error, "reader")
            return []

    async def _whole(self, events: list[Event]) -> list[Event]:
        return [await check_out(event, self.blobs) for event in events]

    # dead letters

    def dead_letters(self) -> AsyncIterator[DeadLetter]:
        return self._dead.all()

    async def retry_dead_letter(self, sequence: int) -> int:
        return await self._dead.retry(sequence)
