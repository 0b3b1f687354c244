"""nats-py, with short ways for what we do most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import AWAITING_CONTROL_LINE, AWAITING_MSG_PAYLOAD, Parser

_HEADERS = {
    "Content-Type",
    "Content-Encoding",
    "Nats-Msg-Id",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
}

Delivered = Callable[[bytes, bytes, bytes, bytes], None]
"""Called with subject, reply, data and the bytes of the headers of a message as soon as it is read."""
_MOST_PENDING = 16 * 1024 * 1024
_CRLF = b"\r\n"
_MOST_BUFFERED = 64 * 1024
"""Bytes that may wait in the transport before writing waits for room, as asyncio has it."""


class Posted(NamedTuple):
    """A message to be sent with headers, to be answered."""

    subject: str
    payload: bytes
    reply: str
    headers: dict[str, str]


class QuickClient(Client):
    """nats-py, with short ways for what we do most.

    Its own way takes 20 µs for the headers of each message read, 10 µs for those of each message written, 8 µs for
    the queue between the arrival of an acknowledgement and whoever waits for it, and a task is woken up for each read
    and for each write. Here bytes are written when the loop has come round, and read off the transport as they come.

    Should nats-py rename what is overridden here, we would be slower, not wrong.

    Attributes:
        direct: by number of subscription, who is called with a message as soon as it is read, instead of the
            subscription's own callback. Headers are left to them, for few look at any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.direct: dict[int, Delivered] = {}
        self._ps = self._quick = _QuickParser(self, self.direct)
        self._kicked = False

    def post(self, message: Posted) -> bool:
        """Send a message without waiting for anything; False if it needs the care of ``publish``.

        What ``publish`` checks is checked here, only more cheaply. Call :meth:`kick` after the last of several.
        """
        subject, payload = message.subject, message.payload
        if (
            not self.is_connected
            or self.is_draining_pubs
            or len(payload) > self._max_payload
            or self._pending_data_size > _MOST_PENDING
        ):
            return False
        block = _block(message.headers)
        if not block or not subject.isascii() or subject.split() != [subject]:
            return False
        size = len(block)
        start = f"HPUB {subject} {message.reply} {size} {size + len(payload)}\r\n{block}".encode()
        self._pending += (start, payload, b"\r\n")
        self._pending_data_size += len(start) + len(payload) + 2
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(payload)
        return True

    async def kick(self) -> None:
        """Let go what was posted."""
        await self._flush_pending()

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        if self._kicked and not force_flush:
            return
        flusher = self._flusher_task
        alive = self.is_connected and flusher is not None and not flusher.done()
        if force_flush or not alive or not isinstance(self._transport, TcpTransport):
            await super()._flush_pending(force_flush)
            return
        # Not at once: what else is sent in this turn of the loop travels with it.
        self._kicked = True
        asyncio.get_running_loop().call_soon(self.write_out)

    def write_out(self) -> None:
        """Write what is pending now: what somebody waits for, or if much else is to be done in this turn of the loop.

        The task of nats-py does it if there is no room. What cannot go, because the connection is lost, goes with the
        next one.
        """
        self._kicked = False
        writer = self._transport._io_writer if isinstance(self._transport, TcpTransport) else None
        if not self._pending or not self.is_connected or writer is None or writer.transport.is_closing():
            return
        if writer.transport.get_write_buffer_size() > _MOST_BUFFERED:
            if self._flush_queue is not None and self._flush_queue.empty():
                self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())
            return
        writer.writelines(self._pending)
        self._pending, self._pending_data_size = [], 0

    async def _read_loop(self) -> None:
        """What the short way does not read, for as long as the connection lasts."""
        self._quick.unread = None
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:
            transport = self._transport._io_writer.transport
            stream, unread = transport.get_protocol(), getattr(self._transport._io_reader, "_buffer", None)
            if isinstance(stream, asyncio.StreamReaderProtocol) and isinstance(unread, bytearray):
                self._quick.unread = unread
                transport.set_protocol(_Incoming(stream, self._quick))
        await super()._read_loop()

    async def _connect_to_server(self, s: Any) -> None:
        """A server that took the connection and then said nothing: nats-py would leave it open and forget it."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        """What was sent before goes before: nats-py's ping overtakes it, and whoever flushed would believe too much."""
        self.write_out()
        if self._pending and self.is_connected:
            await super()._flush_pending(force_flush=True)
        await super()._send_ping(future)

    async def _process_pong(self) -> None:
        """Whoever waited may have given up: that future takes no result, and nats-py would drop the connection."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        delivered = self.direct.get(sid)
        if delivered is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        delivered(bytes(subject), bytes(reply or b""), bytes(data), bytes(headers or b""))

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, str] | None
    ) -> None:
        block = _block(headers)
        if not block or not reply:
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        size = len(block)
        start = f"HPUB {subject} {reply} {size} {size + payload_size}\r\n{block}".encode()
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        await self._send_command(b"%b%b\r\n" % (start, payload))
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        lines = headers.split(b"\r\n") if headers else []
        if not lines or lines[0] != b"NATS/1.0" or not headers.isascii():
            return await super()._process_headers(headers)
        pairs = [line.decode().partition(":") for line in lines[1:] if line]
        if any(not name or name[-1] in " \t" or name[0] in " \t" for name, _, _ in pairs):
            return await super()._process_headers(headers)
        return {name: value.strip() for name, _, value in pairs}


class _QuickParser(Parser):
    """Reads messages of direct subscriptions off the bytes as they come: a third of the time of nats-py's parser, which
    matches patterns and shortens its buffer for each. Everything else is left to that one.

    Attributes:
        unread: the bytes of the connection's stream that nats-py has still to read.
        behind: whether nats-py has still something to read, or is in the middle of a message: then what comes is for
            it as well.
        missing: how many bytes have to come until the message at which :meth:`read` stopped is all there; 0 if it is
            not known, or not for us.
    """

    def __init__(self, nc: Client, direct: dict[int, Delivered]) -> None:
        super().__init__(nc)
        self._direct = direct
        self.unread: bytearray | None = None
        self.behind = True
        self.missing = 0

    async def parse(self, data: bytes = b"") -> None:
        self.behind = True
        if self.state == AWAITING_MSG_PAYLOAD:  # that way to the end of this message, and no further
            missing = self.needed + len(_CRLF) - len(self.buf)
            first, data = data[:missing], data[missing:]
            await super().parse(first)
        if self.state == AWAITING_CONTROL_LINE and self._direct:
            if self.buf:
                data = bytes(self.buf) + data
                self.buf.clear()
            data = data[self.read(data) :]
        if data:
            await super().parse(data)
        whole = self.state == AWAITING_CONTROL_LINE and not self.buf
        self.behind = not whole or self.unread is None or len(self.unread) > 0

    def read(self, data: bytes) -> int:
        """Hand over the direct messages at the beginning; how many bytes they took."""
        at = self.missing = 0
        while (kind := data[at : at + 4]) in (b"MSG ", b"HMSG"):
            line = data.find(b"\r\n", at)
            end = self._hand_over(kind, data, at, line) if line > 0 else 0
            if end <= 0:
                self.missing = -end
                break
            at = end
        return at

    def _hand_over(self, kind: bytes, data: bytes, at: int, line: int) -> int:
        """Hand over the message whose first line is ``data[at:line]``; where it ends, 0 if it is not for us, or below
        zero how many bytes of it are missing.

        ``MSG subject number [reply] size``, ``HMSG subject number [reply] size-of-headers size``:
        https://docs.nats.io/reference/reference-protocols/nats-protocol
        """
        _, subject, number, *rest = data[at:line].split(b" ")
        if not (number.isdigit() and rest and rest[-1].isdigit()):
            return 0
        start = line + 2
        end = start + int(rest[-1])
        delivered, with_headers = self._direct.get(int(number)), kind == b"HMSG"
        if delivered is None or len(rest) not in (1 + with_headers, 2 + with_headers):
            return 0
        if len(data) < end + 2:
            return len(data) - end - 2
        body = start + int(rest[-2]) if with_headers else start
        reply = rest[0] if len(rest) == 2 + with_headers else b""
        delivered(subject, reply, data[body:end], data[start:body])
        self.nc.stats["in_msgs"] += 1
        self.nc.stats["in_bytes"] += end - start
        return end + 2


class _Incoming(asyncio.Protocol):
    """Between the transport and the stream from which nats-py reads: direct messages do not go through the stream.

    One that comes in pieces is put together here: by way of the stream, 32 KiB at a time, a large one would be copied
    five times, and nats-py be woken up for each piece.
    """

    def __init__(self, stream: asyncio.StreamReaderProtocol, parser: _QuickParser) -> None:
        self._stream = stream
        self._parser = parser
        self._pieces: list[bytes] = []
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        if not self._parser.behind:
            data = data[self._parser.read(data) :]
            self._missing = self._parser.missing
            if self._missing > 0:
                self._pieces.append(data)
                return
        if data:
            self._parser.behind = True
            self._stream.data_received(data)

    def eof_received(self) -> bool | None:
        return self._stream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()


def fields_of(headers: bytes) -> dict[str, str]:
    """The headers of a message; ``Status`` and ``Description`` are what its first line says, if anything.

    For what JetStream itself writes, which is plain.
    """
    first, *lines = headers.decode(errors="replace").split("\r\n")
    status, _, text = first.partition(" ")[2].strip().partition(" ")
    found = {"Status": status, "Description": text} if status else {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found


def _block(headers: dict[str, str] | None) -> str:
    """Headers as they travel; empty if there are none, or if one needs more care than this."""
    if not headers or not _HEADERS.issuperset(headers):
        return ""
    block = "NATS/1.0\r\n" + "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) + "\r\n"
    lines = len(headers) + 2
    # No more line ends than ours: no value can bring a header, or a command, of its own.
    clean = block.isascii() and block.count("\n") == lines and block.count("\r") == lines
    return block if clean else ""
