"""The log on JetStream where servers, connections and processes fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.jetstream.publisher import Message, Publisher
from events.port import Ack, Delivery, Guard, Subscription, Window, Write
from schemas.envelope import Event, rfc3339
from schemas.errors import Conflict, DiskFull, InvalidIdentifier, InvalidInput, LogUnavailable
from schemas.ids import uuid7
from schemas.subjects import guard_filter, of_event
from stigmergy.local.ephemeral import ThrowAwayServer, nats_server

pytestmark = pytest.mark.timeout(60)


def event(type_: str = "task.ready", *, data: bytes = b"{}") -> Event:
    return Event(
        id=uuid7(),
        source="/test",
        type=type_,
        time=rfc3339(datetime.now(UTC)),
        tenant="acme",
        mission="m1",
        data=msgspec.Raw(data),
    )


@pytest.fixture
def server(tmp_path: Path, nats_url: str) -> Iterator[ThrowAwayServer]:
    """A server of its own for a test that kills it; after ``nats_url``, which skips where there is no binary."""
    with nats_server(tmp_path) as running:
        yield running


async def opened(url: str) -> JetStreamLog:
    nc = await connect(url, name="test")
    await ensure_streams(nc)
    return await JetStreamLog.open(nc)


def subscribing(log: JetStreamLog, subscription: Subscription) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
    return aclosing(log.subscribe(subscription))  # type: ignore[type-var]


async def handle_slowly(log: JetStreamLog, seconds: float, seen: list[str]) -> None:
    async with subscribing(log, Subscription("slow", ack_wait_s=1.0)) as deliveries:
        async for delivery in deliveries:
            seen.append(delivery.events[0].id)
            await asyncio.sleep(seconds)
            await delivery.ack()


class TestSubscriptions:
    async def test_a_slow_handler_keeps_its_message_and_those_behind_it(self, log: JetStreamLog, nats_url: str) -> None:
        written = [event(), event()]
        await log.write([Write((each,)) for each in written])
        rival = await opened(nats_url)
        seen: list[str] = []
        slow = asyncio.create_task(handle_slowly(log, 3.0, seen))
        await asyncio.sleep(0.2)
        idle = asyncio.create_task(handle_slowly(rival, 0.0, seen))
        await asyncio.sleep(3.5)
        assert seen == [each.id for each in written]
        slow.cancel()
        idle.cancel()
        await asyncio.gather(slow, idle, return_exceptions=True)
        await rival.close()

    async def test_a_cancelled_subscriber_hands_over_at_once(self, log: JetStreamLog) -> None:
        written = [event() for _ in range(20)]
        await log.write([Write((each,)) for each in written])
        subscription = Subscription("relay", ack_wait_s=30.0)
        first: list[str] = []

        async def stuck() -> None:
            async with subscribing(log, subscription) as deliveries:
                async for delivery in deliveries:
                    first.append(delivery.events[0].id)
                    await asyncio.sleep(60)

        task = asyncio.create_task(stuck())
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert first == [written[0].id]
        found: set[str] = set()
        async with asyncio.timeout(2), subscribing(log, subscription) as deliveries:
            async for delivery in deliveries:
                found.add(delivery.events[0].id)
                await delivery.ack()
                if len(found) == len(written):
                    break
        assert found == {each.id for each in written}

    async def test_a_subscriber_whose_connection_dies_hands_over_after_the_wait(
        self, log: JetStreamLog, nats_url: str
    ) -> None:
        await log.append([event()])
        subscription = Subscription("relay", ack_wait_s=1.0)
        dying = await opened(nats_url)
        async with subscribing(dying, subscription) as deliveries:
            await anext(deliveries)
            await dying.close()
        async with asyncio.timeout(3), subscribing(log, subscription) as deliveries:
            delivery = await anext(deliveries)
            assert delivery.attempts == 2
            await delivery.ack()

    async def test_its_name_must_be_a_token(self, log: JetStreamLog) -> None:
        with pytest.raises(InvalidIdentifier):
            await anext(log.subscribe(Subscription("no.token")))

    async def test_overlapping_filters_are_refused(self, log: JetStreamLog) -> None:
        with pytest.raises(InvalidInput, match="overlap"):
            await anext(log.follow(Window(("events.>", "events.acme.>"))))

    async def test_it_follows_its_changed_settings(self, log: JetStreamLog, nats: Client) -> None:
        await log.append([event()])
        for wait in (5.0, 7.0):
            async with subscribing(log, Subscription("changing", ack_wait_s=wait)) as deliveries:
                await anext(deliveries)
        info = await call(nats, "CONSUMER.INFO.EVENTS.changing")
        assert info["config"]["ack_wait"] == 7_000_000_000


class TestFailingServers:
    @pytest.mark.parametrize("guarded", [False, True])
    async def test_killed_in_mid_write(self, server: ThrowAwayServer, guarded: bool) -> None:
        log, other = await opened(server.url), await opened(server.url)
        acknowledged: list[tuple[str, int]] = []
        followed: list[Event] = []
        handled: list[str] = []
        stop = asyncio.Event()

        async def write() -> None:
            last = 0
            while not stop.is_set():
                guard = Guard(guard_filter("acme", "m1", "task"), last) if guarded else None
                written = [event() for _ in range(1 if guarded else 200)]
                for each, result in zip(
                    written, await log.write([Write((one,), guard) for one in written]), strict=True
                ):
                    assert isinstance(result, Ack), result
                    acknowledged.append((each.id, result.sequence))
                    last = result.sequence

        async def follow() -> None:
            async for batch in other.follow(Window()):
                followed.extend(batch.events)

        async def subscribe() -> None:
            async for delivery in other.subscribe(Subscription("survivor", ack_wait_s=1.0)):
                handled.append(delivery.events[0].id)
                await delivery.ack()

        readers = [asyncio.create_task(follow()), asyncio.create_task(subscribe())]
        writer = asyncio.create_task(write())
        for _ in range(2):
            await asyncio.sleep(0.3)
            server.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
            so_far = len(acknowledged)
            async with asyncio.timeout(10):
                while len(acknowledged) <= so_far:
                    await asyncio.sleep(0.02)
        stop.set()
        await writer
        async with asyncio.timeout(10):
            while len(followed) < await log.last_sequence() or len(set(handled)) < await log.last_sequence():
                await asyncio.sleep(0.02)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        stored = [(each.id, each.sequence) async for each in log.read(Window())]
        assert sorted(acknowledged) == sorted(stored)  # nothing lost, nothing doubled
        assert [(each.id, each.sequence) for each in followed] == stored
        assert set(handled) == {id_ for id_, _ in stored}
        await other.close()
        await log.close()

    async def test_a_follower_survives_a_silent_server(
        self, server: ThrowAwayServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("events.jetstream.pull._HEARTBEAT_S", 0.2)
        monkeypatch.setattr("events.jetstream.pull._SILENCE_S", 0.6)
        monkeypatch.setattr("events.jetstream.publisher._TRY_S", 0.6)
        log = await opened(server.url)
        seen: list[int] = []

        async def follow() -> None:
            async for batch in log.follow(Window()):
                seen[:] = [batch.last]

        reader = asyncio.create_task(follow())
        await log.append([event()])
        server.pause()
        writing = asyncio.create_task(log.append([event()]))
        await asyncio.sleep(1.2)  # longer than anybody waits for an acknowledgement or a heartbeat
        server.resume()
        assert await writing == 2
        async with asyncio.timeout(10):
            while not seen or seen[-1] < 2:
                await asyncio.sleep(0.02)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await log.close()

    async def test_a_deleted_consumer_is_made_again(self, log: JetStreamLog, nats: Client) -> None:
        first, second = event(), event()
        await log.append([first])
        async with aclosing(log.follow(Window())) as batches:  # type: ignore[type-var]
            assert (await anext(batches)).last == 1
            for name in (await call(nats, "CONSUMER.NAMES.EVENTS"))["consumers"]:
                await call(nats, f"CONSUMER.DELETE.EVENTS.{name}")
            await log.append([second])
            assert [each.id for each in (await anext(batches)).events] == [second.id]

    async def test_what_is_known_comes_with_the_next_that_is_not(self, log: JetStreamLog) -> None:
        found: list[int] = []
        known = 3

        async def read() -> None:
            async for messages in log.messages(Window(("events.>",)), batch=100, known=lambda number: number <= known):
                found.extend(each.sequence for each in messages)

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        for _ in range(3):
            await log.append([event()])
        await asyncio.sleep(0.2)
        assert found == []
        await log.append([event()])
        async with asyncio.timeout(5):
            while len(found) < 4:
                await asyncio.sleep(0.01)
        assert found == [1, 2, 3, 4]
        known = 1000  # more than are asked for at once: else the server would wait for the next request for ever
        for _ in range(200):
            await log.append([event()])
        async with asyncio.timeout(5):
            while len(found) < 150:
                await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def test_closing_while_the_server_is_away(self, server: ThrowAwayServer) -> None:
        log = await opened(server.url)
        server.kill()
        writing = asyncio.create_task(log.append([event()]))
        await asyncio.sleep(0.3)
        async with asyncio.timeout(3):
            await log.close()
            with pytest.raises(LogUnavailable):
                await writing


class TestWriting:
    async def test_a_repetition_behind_others_is_recognised(self, log: JetStreamLog) -> None:
        guard = Guard(guard_filter("acme", "m1", "task"), 0)
        mine = event()
        assert await log.append([mine], guard=guard) == 1
        await log.append([event()], guard=Guard(guard.filter, 1))
        assert await log.write([Write((mine,), guard)]) == [Ack(1, duplicate=True)]
        [refused] = await log.write([Write((event(),), guard)])
        assert isinstance(refused, Conflict)
        assert await log.last_sequence() == 2

    async def test_a_full_stream_is_a_full_disk(self, log: JetStreamLog, nats: Client) -> None:
        config = (await call(nats, "STREAM.INFO.EVENTS"))["config"]
        await call(nats, "STREAM.UPDATE.EVENTS", {**config, "max_msgs": 1})
        await log.append([event()])
        with pytest.raises(DiskFull, match="maximum messages"):
            await log.append([event()])

    async def test_the_same_claim_by_many_connections(self, nats_url: str, nats: Client) -> None:
        logs = [await opened(nats_url) for _ in range(4)]
        for number in range(10):
            claims = [event("attempt.started") for _ in logs]
            key = f"fix:{number}"
            writes = [Write((claim,), Guard(of_event(claim, key), 0), key) for claim in claims]
            results = await asyncio.gather(*(log.write([write]) for log, write in zip(logs, writes, strict=True)))
            assert sorted(type(result).__name__ for [result] in results) == ["Ack", "Conflict", "Conflict", "Conflict"]
        for log in logs:
            await log.close()

    async def test_a_stream_that_is_missing(self, nats: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("events.jetstream.publisher._GIVE_UP_S", 0.3)
        publisher = Publisher(nats)
        await publisher.open()
        [result] = await publisher.store([Message("nowhere.at.all", b"x", uuid7())])
        assert isinstance(result, LogUnavailable)
        assert "nowhere.at.all" in str(result)
        assert result.hint
        publisher.close()

    @pytest.mark.parametrize(
        "message_id", ["plain", "ä", "two\r\nNats-Expected-Last-Msg-Id: none", "two\nlines", "two\rlines", " spaced "]
    )
    async def test_any_message_id_is_kept_in_its_header(self, log: JetStreamLog, message_id: str) -> None:
        first, second = event(), event()
        assert await log.write([Write((first,), id=message_id)]) == [Ack(1)]
        assert await log.write([Write((second,), id=message_id)]) == [Ack(1, duplicate=True)]
        assert [each.id async for each in log.read(Window())] == [first.id]
