"""Connections and streams of the JetStream log: set up, refused, lost, closed."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.port import Delivery, Subscription, Window
from schemas.envelope import Event, rfc3339
from schemas.errors import LogUnavailable
from schemas.ids import uuid7
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
def server(tmp_path: Path, nats_url: str) -> Iterator[ThrowAwayServer]:
    """A server of its own for a test that kills it; after ``nats_url``, which skips where there is no binary."""
    with nats_server(tmp_path) as running:
        yield running


async def opened(url: str) -> JetStreamLog:
    nc = await connect(url, name="test")
    await ensure_streams(nc)
    return await JetStreamLog.open(nc)


def streams_folder(tmp_path: Path) -> Path:
    """Where the server below ``tmp_path`` will make its streams."""
    folder = next(tmp_path.glob("servers-*/nats")) / "jetstream" / "jetstream" / "$G" / "streams"
    folder.mkdir(parents=True)
    return folder


def subscribing(log: JetStreamLog, subscription: Subscription) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
    return aclosing(log.subscribe(subscription))  # type: ignore[type-var]


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
        assert sorted((await call(nats, "STREAM.NAMES"))["streams"]) == [
            "COMMANDS",
            "DEAD_LETTERS",
            "EVENTS",
            "OBJ_BLOBS",
        ]

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

    async def test_a_store_that_could_not_be_made_is_tried_again(self, server: ThrowAwayServer, tmp_path: Path) -> None:
        """The server takes the file away when it has refused, as it leaves other ruins of its own to the next try."""
        (streams_folder(tmp_path) / "EVENTS").touch()
        log = await opened(server.url)
        assert await log.append([event()]) == 1
        await log.close()

    async def test_a_store_that_cannot_be_made_is_named(
        self, server: ThrowAwayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("events.jetstream.streams.STORE_PAUSES_S", ())
        (streams_folder(tmp_path) / "EVENTS").touch()
        nc = await connect(server.url, name="test")
        try:
            with pytest.raises(LogUnavailable, match=r"stream EVENTS cannot be made: .*error creating store") as caught:
                await ensure_streams(nc)
            assert "disk" in caught.value.hint
        finally:
            await nc.close()


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


@pytest.mark.parametrize("fill", [0, 200_000])
async def test_whoever_flushed_has_said_all_before(nats: Client, monkeypatch: pytest.MonkeyPatch, fill: int) -> None:
    """What is still pending goes before the ping, also where the transport has no room; nats-py's ping overtakes it."""
    written: list[bytes] = []
    writer = nats._transport._io_writer  # type: ignore[union-attr]
    for name in ("write", "writelines"):
        real = getattr(writer, name)

        def spied(data: bytes | list[bytes], real: Any = real) -> None:
            written.append(data if isinstance(data, bytes) else b"".join(data))
            real(data)

        monkeypatch.setattr(writer, name, spied)
    if fill:
        monkeypatch.setattr("events.jetstream.quick_client._MOST_BUFFERED", -1)
    await nats.publish("first", b"x" * fill)
    await nats.subscribe("wanted.*")
    await nats.flush()
    said = b"".join(written)
    assert 0 <= said.index(b"PUB first") < said.index(b"SUB wanted.*") < said.index(b"PING\r\n")
