"""The :class:`~events.port.Log` on JetStream."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg

from events.blobs.jetstream import JetStreamBlobs
from events.blobs.port import BlobStore
from events.codec import check_in, check_out, decode, encode, frames
from events.jetstream.api import NOT_FOUND, ApiRefused, call
from events.jetstream.consumers import Consumers
from events.jetstream.delivery import Deliveries
from events.jetstream.place import place_of
from events.jetstream.publisher import Message, Publisher
from events.jetstream.pull import ConsumerGone, Pull
from events.port import Ack, Batch, DeadLetter, Delivery, Guard, Subscription, Window, Write
from schemas.envelope import Event
from schemas.errors import InvalidEvent, InvalidInput, StigmergyError
from schemas.events import type_named
from schemas.subjects import DEAD_LETTERS, EVENTS, of_event, of_frame


class JetStreamLog:
    """A log that survives its processes. Use :meth:`open`."""

    def __init__(self, nc: Client, blobs: BlobStore, publisher: Publisher) -> None:
        self._nc = nc
        self._consumers = Consumers(nc)
        self._publisher = publisher
        self.blobs = blobs

    @classmethod
    async def open(cls, nc: Client, *, blobs: BlobStore | None = None) -> JetStreamLog:
        """A log over a connection; the streams must be there (``ensure_streams``)."""
        publisher = Publisher(nc)
        await publisher.open()
        return cls(nc, blobs or JetStreamBlobs(nc.jetstream()), publisher)

    async def close(self) -> None:
        """Flush what was published and close the connection."""
        if not self._nc.is_closed:
            await self._nc.drain()

    # writing

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        return await self._publisher.store([await self._message(write) for write in writes])

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        if guard is None:
            results = await self.write([Write(frame) for frame in frames(events)])
            return max(_sequence(result) for result in results)
        last = guard.last
        for frame in frames(events):
            # The next frame is compared with the one before: whoever came in between wins.
            [result] = await self.write([Write(frame, Guard(guard.filter, last))])
            last = _sequence(result)
        return last

    async def _message(self, write: Write) -> Message:
        events = [await check_in(event, self.blobs) for event in write.events]
        payload, content_type = encode(events)
        first = events[0]
        if len(events) == 1:
            subject = of_event(first, write.key)
        else:
            subject = of_frame(first.tenant, first.mission, first.type.partition(".")[0])
        return Message(subject, payload, first.id, content_type, write.guard)

    # reading

    async def follow(self, window: Window, *, batch: int = 500) -> AsyncIterator[Batch]:
        first = window.first
        while True:
            consumer = await self._consumers.ephemeral(EVENTS, window, first)
            try:
                async for messages in Pull(self._nc, EVENTS, consumer.name, batch).lists():
                    events = [event for msg in messages for event in await self._events(msg)]
                    first = place_of(messages[-1]).sequence + 1
                    yield Batch(tuple(events), first - 1)
            except ConsumerGone:
                continue
            finally:
                await self._consumers.drop(EVENTS, consumer.name)

    async def read(self, window: Window) -> AsyncIterator[Event]:
        last = window.last if window.last is not None else await self.last_sequence()
        consumer = await self._consumers.ephemeral(EVENTS, window, window.first)
        try:
            if consumer.pending == 0 or window.first > last:
                return
            async for messages in Pull(self._nc, EVENTS, consumer.name, 1000).lists():
                for msg in messages:
                    place = place_of(msg)
                    if place.sequence <= last:
                        for event in await self._events(msg):
                            yield event
                    if place.sequence >= last or place.pending == 0:
                        return
        finally:
            await self._consumers.drop(EVENTS, consumer.name)

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[Delivery]:
        await self._consumers.durable(EVENTS, subscription)
        async with Deliveries(self._nc, subscription, self._bury) as deliveries:
            while True:
                try:
                    async for messages in Pull(self._nc, EVENTS, subscription.name, subscription.batch).lists():
                        for msg in messages:
                            if (delivery := await deliveries.open(msg, self._resolve)) is not None:
                                yield delivery
                except ConsumerGone:
                    await self._consumers.durable(EVENTS, subscription)

    async def last_sequence(self) -> int:
        answer = await call(self._nc, f"STREAM.INFO.{EVENTS}")
        return int(answer["state"]["last_seq"])

    async def missions(self, types: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for name in types:
            type_named(name)
            offset = 0
            while True:
                ask = {"subjects_filter": f"events.*.*.{name}", "offset": offset}
                answer = await call(self._nc, f"STREAM.INFO.{EVENTS}", ask)
                subjects = answer["state"].get("subjects") or {}
                for subject, count in subjects.items():
                    _, tenant, mission, *_ = subject.split(".")
                    found.setdefault((tenant, mission), {})[name] = count
                offset += len(subjects)
                if not subjects or offset >= answer.get("total", 0):
                    break
        return found

    async def _resolve(self, msg: Msg) -> list[Event]:
        events = decode(msg.data, place_of(msg).sequence)
        return [await check_out(event, self.blobs) for event in events]

    async def _events(self, msg: Msg) -> list[Event]:
        try:
            return await self._resolve(msg)
        except InvalidInput as error:
            await self._bury(msg, error, "reader")
            return []

    # dead letters

    async def _bury(self, msg: Msg, error: StigmergyError, consumer: str) -> None:
        """Keep a message nobody can handle, once for each consumer that gave up; readers of the log share one place."""
        sequence = place_of(msg).sequence
        extra = (
            ("Stigmergy-Subject", msg.subject),
            ("Stigmergy-Sequence", str(sequence)),
            ("Stigmergy-Code", error.code),
            ("Stigmergy-Consumer", consumer),
            # Header values are lines of Latin-1: the reason travels encoded.
            ("Stigmergy-Reason", base64.b64encode(error.message[:2000].encode()).decode()),
        )
        [result] = await self._publisher.store(
            [Message(f"dead.{consumer}", msg.data, f"dead:{consumer}:{sequence}", extra=extra)]
        )
        _sequence(result)

    async def dead_letters(self) -> AsyncIterator[DeadLetter]:
        window = Window(("dead.>",))
        consumer = await self._consumers.ephemeral(DEAD_LETTERS, window, 1)
        try:
            if consumer.pending == 0:
                return
            async for messages in Pull(self._nc, DEAD_LETTERS, consumer.name, 100).lists():
                for msg in messages:
                    yield _dead_letter(msg)
                    if place_of(msg).pending == 0:
                        return
        finally:
            await self._consumers.drop(DEAD_LETTERS, consumer.name)

    async def retry_dead_letter(self, sequence: int) -> int:
        try:
            found = (await call(self._nc, f"STREAM.MSG.GET.{DEAD_LETTERS}", {"seq": sequence}))["message"]
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                raise InvalidInput(
                    f"there is no dead letter {sequence}", hint="`stig events dead` lists them"
                ) from error
            raise
        headers = _header_lines(base64.b64decode(found.get("hdrs", "")))
        subject, raw = headers.get("Stigmergy-Subject", ""), base64.b64decode(found.get("data", ""))
        if not subject.startswith("events."):
            raise InvalidEvent(f"dead letter {sequence} was no event", hint="send the command again instead")
        [result] = await self._publisher.store([Message(subject, raw, f"retry:{DEAD_LETTERS}:{sequence}")])
        await call(self._nc, f"STREAM.MSG.DELETE.{DEAD_LETTERS}", {"seq": sequence})
        return _sequence(result)


def _sequence(result: Ack | StigmergyError) -> int:
    if isinstance(result, StigmergyError):
        raise result
    return result.sequence


def _dead_letter(msg: Msg) -> DeadLetter:
    headers = msg.headers or {}
    return DeadLetter(
        sequence=place_of(msg).sequence,
        subject=headers.get("Stigmergy-Subject", ""),
        reason=base64.b64decode(headers.get("Stigmergy-Reason", "")).decode(),
        code=headers.get("Stigmergy-Code", ""),
        consumer=headers.get("Stigmergy-Consumer", ""),
        original_sequence=int(headers.get("Stigmergy-Sequence", "0")),
        raw=msg.data,
    )


def _header_lines(raw: bytes) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in raw.decode().split("\r\n")[1:] if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
