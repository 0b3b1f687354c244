"""The log on JetStream where servers, connections and processes fail."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.jetstream.publisher import Message, Publisher
from events.port import Ack, Delivery, Guard, Subscription, Window, Write
from schemas.envelope import Event, rfc3339
from schemas.errors import Conflict, DiskFull, InvalidIdentifier, InvalidInput, LogUnavailable
from schemas.ids import uuid7
from schemas.subjects import guard_filter, of_event
from stigmergy.local.binaries import nats_binary
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
async def log(nats: Client) -> AsyncIterator[JetStreamLog]:
    opened = await JetStreamLog.open(nats)
    yield opened
    await opened.close()


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


class TestStreams:
    async def test_ensuring_twice_changes_nothing(self, nats: Client) -> None:
        advisories: list[str] = []

        async def hear(msg: Msg) -> None:
            advisories.append(msg.subject)

        await nats.subscribe("$JS.EVENT.ADVISORY.STREAM.>", cb=hear)
        await ensure_streams(nats)
        await nats.flush()
        await asyncio.sleep(0.05)
        assert advisories == []

    async def test_several_may_ensure_at_once(self, nats: Client) -> None:
        for name in ("EVENTS", "COMMANDS", "DEAD_LETTERS"):
            await call(nats, f"STREAM.DELETE.{name}")
        await asyncio.gather(*(ensure_streams(nats) for _ in range(5)))
        assert sorted((await call(nats, "STREAM.NAMES"))["streams"]) == ["COMMANDS", "DEAD_LETTERS", "EVENTS"]

    async def test_a_changed_setting_is_brought_up_to_date(self, nats: Client, log: JetStreamLog) -> None:
        await log.append([event()])
        config = (await call(nats, "STREAM.INFO.EVENTS"))["config"]
        await call(nats, "STREAM.UPDATE.EVENTS", {**config, "duplicate_window": 120_000_000_000, "description": "ours"})
        await ensure_streams(nats)
        info = await call(nats, "STREAM.INFO.EVENTS")
        assert info["config"]["duplicate_window"] == 600_000_000_000
        assert info["config"]["description"] == "ours"  # what operators add stays
        assert info["state"]["messages"] == 1

    async def test_a_change_that_cannot_be_made_is_named(self, nats: Client) -> None:
        config = (await call(nats, "STREAM.INFO.COMMANDS"))["config"]
        await call(nats, "STREAM.DELETE.COMMANDS")
        await call(nats, "STREAM.CREATE.COMMANDS", {**config, "storage": "memory"})
        with pytest.raises(LogUnavailable, match="stream COMMANDS exists with another configuration") as caught:
            await ensure_streams(nats)
        assert caught.value.hint


class TestConnecting:
    async def test_nobody_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(LogUnavailable, match=address) as caught:
            await connect(f"nats://s3cret@{address},nats://u:s3cret@{address}", name="test", timeout_s=0.3)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert "stig dev" in caught.value.hint

    async def test_the_wrong_secret_fails_at_once(self, nats_url: str) -> None:
        address = nats_url.rpartition("@")[2]
        async with asyncio.timeout(1):
            with pytest.raises(LogUnavailable, match=r"(?i)authorization") as caught:
                await connect(f"nats://wr0ng@{address}", name="test")
        assert "wr0ng" not in str(caught.value)

    @pytest.mark.parametrize("url", ["nats://t0ken@host:port", "", "http://t0ken@127.0.0.1:1", "t0ken@127.0.0.1:1"])
    async def test_what_is_no_address(self, url: str) -> None:
        with pytest.raises(LogUnavailable) as caught:
            await connect(url, name="test", timeout_s=0.3)
        assert "t0ken" not in str(caught.value)

    async def test_nats_without_jetstream(self, nats_url: str, tmp_path: Path) -> None:
        ports = tmp_path / "ports"
        ports.mkdir()
        arguments = [str(nats_binary()), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(ports)]
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(5):
                while not (files := list(ports.glob("*.ports"))) or not files[0].read_text():
                    await asyncio.sleep(0.01)
            nc = await connect(msgspec.json.decode(files[0].read_text())["nats"][0], name="test")
            with pytest.raises(LogUnavailable, match="JetStream") as caught:
                await ensure_streams(nc)
            assert "JetStream enabled" in caught.value.hint
            await nc.close()
        finally:
            process.kill()
            process.wait()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"NATS/1.0\r\nNats-Msg-Id: 1\r\nContent-Type:application/json\r\n\r\n",
            b"NATS/1.0\r\nA: b: c\r\nA: second\r\nEmpty:\r\n\r\n",
            b"NATS/1.0\r\nA: caf\xc3\xa9\r\n\r\n",
            b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 5\r\nNats-Pending-Bytes: 0\r\n\r\n",
            b"NATS/1.0 503\r\n\r\n",
        ],
    )
    async def test_headers_are_read_as_nats_py_reads_them(self, nats: Client, raw: bytes) -> None:
        assert await nats._process_headers(raw) == await Client()._process_headers(raw)

    async def test_a_server_that_starts_late_is_waited_for(self, server: ThrowAwayServer) -> None:
        server.kill()
        connecting = asyncio.create_task(connect(server.url, name="test"))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        await (await connecting).close()

    async def test_an_outage_is_logged_once(self, server: ThrowAwayServer, caplog: pytest.LogCaptureFixture) -> None:
        nc = await connect(server.url, name="test")
        with caplog.at_level(logging.WARNING, "events.jetstream.connection"):
            server.kill()
            await asyncio.sleep(1.0)
        assert 1 <= len(caplog.records) <= 3
        await nc.close()

    async def test_closing_leaves_nothing_behind(self, nats_url: str, nats: Client) -> None:
        before = asyncio.all_tasks()
        log = await opened(nats_url)
        await log.append([event(), event(data=b'{"x":"' + b"y" * 70_000 + b'"}')])
        assert len([each async for each in log.read(Window())]) == 2
        async with aclosing(log.follow(Window())) as batches:  # type: ignore[type-var]
            await anext(batches)
        async with subscribing(log, Subscription("brief")) as deliveries:
            await anext(deliveries)
        waiting = asyncio.ensure_future(anext(log.follow(Window(first=99))))
        await asyncio.sleep(0.05)
        await log.close()
        with pytest.raises(LogUnavailable, match="closed"):
            await waiting
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
