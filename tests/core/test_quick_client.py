"""The short way through nats-py's parser says what the long way says, wherever the network cuts the bytes."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client

from events.jetstream.quick_client import Posted, QuickClient, _Incoming, _QuickParser, fields_of

QUICK, SLOW, DIRECT = 7, 8, 9


class Heard(QuickClient):
    """A client without a server, that notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, object, object]] = []
        self.direct[QUICK] = lambda subject, _reply, data, _headers: self.notes.append(("quick", subject, data))
        self.direct[DIRECT] = lambda subject, reply, data, headers: self.notes.append(
            ("direct", subject, (reply, data, headers))
        )

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if sid in (QUICK, DIRECT):
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            self.notes.append(("slow", bytes(subject), bytes(data)))

    async def _process_pong(self) -> None:
        self.notes.append(("pong", b"", b""))


def stream(chance: random.Random) -> tuple[bytes, list[tuple[str, object, object]]]:
    """What a server might send, and what has to be heard."""
    raw, expected = b"", []
    for number in range(chance.randrange(1, 30)):
        subject, data = f"_INBOX.x.{number}".encode(), chance.randbytes(chance.choice((0, 1, 5, 300)))
        kind = chance.choice(("quick", "quick", "slow", "reply", "headers", "pong", "direct", "direct", "titled"))
        if kind == "pong":
            raw += b"PONG\r\n"
            expected.append(("pong", b"", b""))
            continue
        if kind in ("direct", "titled"):
            block = b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n" if kind == "titled" else b""
            sizes = b"%d %d" % (len(block), len(block) + len(data)) if block else b"%d" % len(data)
            verb = b"HMSG" if block else b"MSG"
            raw += b"%b %b %d back %b\r\n%b%b\r\n" % (verb, subject, DIRECT, sizes, block, data)
            expected.append(("direct", subject, (b"back", data, block)))
            continue
        sid = SLOW if kind == "slow" else QUICK
        if kind == "headers":
            block = b"NATS/1.0 503\r\n\r\n"
            raw += b"HMSG %b %d %d %d\r\n%b%b\r\n" % (subject, sid, len(block), len(block) + len(data), block, data)
        else:
            reply = b" back" if kind == "reply" else b""
            raw += b"MSG %b %d%b %d\r\n%b\r\n" % (subject, sid, reply, len(data), data)
        expected.append(("slow" if kind == "slow" else "quick", subject, data))
    return raw, expected


@pytest.mark.parametrize("seed", range(60))
async def test_messages_are_heard_wherever_they_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    raw, expected = stream(chance)
    client = Heard()
    parser = _QuickParser(client, client.direct)
    at = 0
    while at < len(raw):
        step = chance.choice((1, 2, 7, 50, 1000))
        await parser.parse(raw[at : at + step])
        at += step
    assert client.notes == expected


def test_headers_are_read_when_somebody_looks() -> None:
    status = b"NATS/1.0 409 Consumer Deleted\r\nNats-Pending-Messages: 12\r\n\r\n"
    assert fields_of(status) == {"Status": "409", "Description": "Consumer Deleted", "Nats-Pending-Messages": "12"}
    assert fields_of(b"NATS/1.0\r\nA: b: c \r\n\r\n") == {"A": "b: c"}
    assert fields_of(b"NATS/1.0 100\r\n\r\n") == {"Status": "100", "Description": ""}


@pytest.mark.parametrize("seed", range(60))
async def test_messages_are_heard_in_order_whether_they_go_through_the_stream_or_not(seed: int) -> None:
    chance = random.Random(seed)
    raw, expected = stream(chance)
    client = Heard()
    parser = client._quick
    reader = asyncio.StreamReader()
    parser.unread = cast("Any", reader)._buffer
    incoming = _Incoming(asyncio.StreamReaderProtocol(reader), parser)

    async def nats_py() -> None:
        while data := await reader.read(chance.choice((3, 100, 1000))):
            await parser.parse(data)

    await parser.parse()
    reading = asyncio.create_task(nats_py())
    at = 0
    while at < len(raw):
        step = chance.choice((1, 7, 50, 1000))
        incoming.data_received(raw[at : at + step])
        at += step
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    reader.feed_eof()
    await reading
    assert client.notes == expected
    # All was read: what comes whole does not go through the stream any more.
    incoming.data_received(b"MSG a.b %d 1\r\nx\r\n" % QUICK)
    assert client.notes[len(expected) :] == [("quick", b"a.b", b"x")]


async def test_a_large_message_that_comes_in_pieces_does_not_go_through_the_stream() -> None:
    client, reader = Heard(), asyncio.StreamReader()
    parser = client._quick
    parser.unread = cast("Any", reader)._buffer
    incoming = _Incoming(asyncio.StreamReaderProtocol(reader), parser)
    await parser.parse()
    large = random.Random(1).randbytes(500_000)
    raw = b"MSG a.b %d %d\r\n%b\r\n" % (QUICK, len(large), large)
    raw += raw + b"PONG\r\n"
    for at in range(0, len(raw), 65_536):
        incoming.data_received(raw[at : at + 65_536])
    assert client.notes == [("quick", b"a.b", large)] * 2
    assert bytes(parser.unread) == b"PONG\r\n"


async def test_what_is_sent_in_one_turn_of_the_loop_is_written_together(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    log_of = asyncio.StreamWriter.writelines
    monkeypatch.setattr(
        asyncio.StreamWriter, "writelines", lambda self, data: (written.append(len(data)), log_of(self, data))
    )
    client = QuickClient()
    await client.connect(nats_url)
    heard: list[bytes] = []
    subscription = await client.subscribe("here.*")
    client.direct[subscription._id] = lambda subject, _reply, _data, _headers: heard.append(subject)
    await client.flush()
    written.clear()
    for number in range(5):
        await client.publish(f"here.{number}", b"x")
    assert written == []
    async with asyncio.timeout(5):
        while len(heard) < 5:
            await asyncio.sleep(0.001)
    assert written == [5]
    assert heard == [f"here.{number}".encode() for number in range(5)]
    await client.close()


async def test_nothing_is_posted_without_a_connection() -> None:
    assert not QuickClient().post(Posted("events.a.b.c.d", b"", "_INBOX.x", {"Nats-Msg-Id": "1"}))


@pytest.mark.parametrize("subject", ["a b", "a\r\nPUB x 0", "a\tb", "", "ä"])
async def test_a_subject_that_would_break_the_line_is_left_to_nats_py(
    subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuickClient, "is_connected", True)
    client = QuickClient()
    client._max_payload = 1000
    assert client.post(Posted("fine", b"x", "_INBOX.x", {"Nats-Msg-Id": "1"}))
    assert not client.post(Posted(subject, b"x", "_INBOX.x", {"Nats-Msg-Id": "1"}))
    assert not client.post(Posted("fine", b"x" * 1001, "_INBOX.x", {"Nats-Msg-Id": "1"}))
    assert not client.post(Posted("fine", b"x", "_INBOX.x", {"Nats-Msg-Id": "1\r\nX: 2"}))
    assert b"".join(client._pending).startswith(b"HPUB fine _INBOX.x 28 29\r\nNATS/1.0\r\nNats-Msg-Id: 1\r\n\r\nx\r\n")


async def test_an_answer_that_nobody_waits_for_any_more_is_no_error() -> None:
    client, loop = QuickClient(), asyncio.get_running_loop()
    given_up, waiting = loop.create_future(), loop.create_future()
    given_up.cancel()
    client._pongs = [given_up, waiting]
    await client._ps.parse(b"PONG\r\nPONG\r\n")
    assert waiting.result() is True
    assert client._pongs == []


async def test_a_connection_that_led_to_nothing_is_closed_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def connected(_self: Client, _server: Any) -> None:
        steps.append("connected")

    monkeypatch.setattr(Client, "_connect_to_server", connected)
    client = QuickClient()
    client._transport = cast("Any", SimpleNamespace(close=lambda: steps.append("closed")))
    await client._connect_to_server(None)
    assert steps == ["closed", "connected"]
