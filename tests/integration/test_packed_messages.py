"""Large messages on a real server: compressed there, and the same to everybody who reads by us."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
import zstandard
from nats.aio.client import Client

from events.codec import encode, subject_of
from events.jetstream import JetStreamLog
from events.jetstream.api import call
from events.jetstream.kept import kept_messages
from events.port import Subscription, Window, Write
from schemas.envelope import Event
from tests.contracts.log_bench import event, payload

SUBJECT = "events.acme.m1.task.ready"


@pytest.fixture
def frame() -> tuple[Event, ...]:
    return tuple(event(data=payload(200)) for _ in range(100))


async def test_a_frame_is_compressed_and_every_reader_has_its_events(
    log: JetStreamLog, nats: Client, frame: tuple[Event, ...]
) -> None:
    await log.write([Write(frame), Write((event(),))])
    first, second = [await _message(nats, number) for number in (1, 2)]
    whole, _ = encode(frame)
    assert first.headers["Content-Encoding"] == "zstd"
    assert first.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert len(first.data) < len(whole) / 3
    assert zstandard.decompress(first.data) == whole
    assert "Content-Encoding" not in second.headers
    wanted = [each.id for each in frame]
    assert [each.id async for each in log.read(Window(last=1))] == wanted
    async with aclosing(log.follow(Window())) as batches:
        batch = await anext(batches)
        assert [each.id for each in batch.events if each.sequence == 1] == wanted
    async with aclosing(log.messages(Window())) as messages:
        assert (await anext(messages))[0].raw == whole
    async with aclosing(log.subscribe(Subscription("all"))) as deliveries:  # type: ignore[type-var]
        delivery = await anext(deliveries)
        assert [each.id for each in delivery.events] == wanted
        await delivery.ack()
    kept = [raw async for raw in kept_messages(nats)]
    assert kept[0] == whole


async def test_a_writer_that_does_not_compress_is_read_as_before(log: JetStreamLog, nats: Client) -> None:
    frame = [event(data=payload(200)) for _ in range(100)]
    await nats.jetstream().publish(subject_of(frame), encode(frame)[0])
    assert [each.id async for each in log.read(Window())] == [each.id for each in frame]


async def test_what_unpacks_to_too_much_is_a_dead_letter(log: JetStreamLog, nats: Client) -> None:
    bomb = zstandard.compress(b'[{"specversion":"1.0"},' + b"0" * 500_000_000)
    await nats.jetstream().publish(SUBJECT, bomb)
    after = event()
    await log.append([after])
    assert [each.id async for each in log.read(Window())] == [after.id]
    [letter] = [each async for each in log.dead_letters()]
    assert (letter.original_sequence, letter.raw) == (1, bomb)


async def test_a_large_dead_letter_is_compressed_shown_whole_and_put_back(log: JetStreamLog, nats: Client) -> None:
    unreadable = b'[{"no":"event"}]' + b" " * 900_000
    await nats.jetstream().publish(SUBJECT, zstandard.compress(unreadable))
    assert [each async for each in log.read(Window())] == []
    [letter] = [each async for each in log.dead_letters()]
    assert letter.raw == unreadable
    assert (await call(nats, "STREAM.INFO.DEAD_LETTERS"))["state"]["bytes"] < 10_000
    sequence = await log.retry_dead_letter(letter.sequence)
    again = await _message(nats, sequence)
    assert (again.subject, zstandard.decompress(again.data)) == (SUBJECT, unreadable)


async def _message(nats: Client, sequence: int) -> Any:
    return await nats.jetstream().get_msg("EVENTS", sequence)
