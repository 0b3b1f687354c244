"""One way to connect to NATS: patient with servers that move, quick to notice one that is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from schemas.errors import LogUnavailable

_log = logging.getLogger(__name__)
_ONE_SERVER_S = 2
_HEADERS = {
    "Content-Type",
    "Nats-Msg-Id",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
}


async def connect(url: str, *, name: str, timeout_s: float = 5.0) -> Client:
    """A client that reconnects for ever once it has been connected.

    nats-py pings every two minutes by default, so a leader that dies silently would be noticed after four; ours pings
    every second (see ``docs/decisions/0004-jetstream-client.md``). With its endless reconnecting it would also try the
    first connection for ever: that one has a deadline here.

    Args:
        url: ``nats://[token@]host:port``, several separated by commas.
        name: shown by the server beside the connection.
        timeout_s: how long the first connection may take; until then a server that is starting is waited for.

    Raises:
        LogUnavailable: no server answers at the address, or it does not let us in.
    """
    client, reporter = _QuickClient(), _Reporter()
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(
                url.split(","),
                name=name,
                # For each server: one that hangs must not use up the time of the others.
                connect_timeout=max(1, round(min(_ONE_SERVER_S, timeout_s) if "," in url else timeout_s)),
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # type: ignore[arg-type]  # a number of seconds, whatever it is declared as
                ping_interval=1,
                max_outstanding_pings=4,
                pending_size=64 * 1024 * 1024,
                error_cb=reporter.hear,
                **_credentials(url),
            )
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        if client.is_connecting:
            await client.close()
        raise LogUnavailable(
            f"NATS does not answer at {_without_secret(url)}: {reporter.last or type(error).__name__}",
            hint="`stig dev` starts a server on this machine; STIGMERGY_NATS_URL names another one",
        ) from None  # what nats-py and urllib say may quote the URL, and with it the secret
    reporter.connected = True
    return client


def _credentials(url: str) -> dict[str, Any]:
    """What all URLs say, for all servers: a cluster tells its clients of servers by address, hence without a secret."""
    if len({part.rpartition("://")[2].rpartition("@")[0] for part in url.split(",")}) != 1:
        return {}  # nats-py takes those of each URL
    try:
        parts = urlsplit(url.split(",")[0])
    except ValueError:
        return {}  # nats-py says what is wrong with it
    if not parts.username:
        return {}
    if parts.password is None:
        return {"token": unquote(parts.username)}
    return {"user": unquote(parts.username), "password": unquote(parts.password)}


class _QuickClient(Client):
    """nats-py, with short ways for what we do most.

    Its own way takes 20 µs for the headers of each message read, 10 µs for those of each message written, and 8 µs for
    the queue between the arrival of an acknowledgement and whoever waits for it.

    Should nats-py rename what is overridden here, we would be slower, not wrong.

    Attributes:
        quick: by number of subscription, who is called with subject and data of a message as soon as it is read,
            instead of the subscription's own callback.
    """

    def __init__(self) -> None:
        super().__init__()
        self.quick: dict[int, Callable[[bytes, bytes], None]] = {}

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        heard = self.quick.get(sid)
        if heard is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        heard(bytes(subject), bytes(data))

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


def _block(headers: dict[str, str] | None) -> str:
    """Headers as they travel; empty if there are none, or if one needs more care than this."""
    if not headers or not _HEADERS.issuperset(headers):
        return ""
    block = "NATS/1.0\r\n" + "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) + "\r\n"
    lines = len(headers) + 2
    # No more line ends than ours: no value can bring a header, or a command, of its own.
    clean = block.isascii() and block.count("\n") == lines and block.count("\r") == lines
    return block if clean else ""


class _Reporter:
    """Hears of errors; says each once, for a server that is away is tried five times a second."""

    def __init__(self) -> None:
        self.connected = False
        self.last = ""

    async def hear(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if self.connected and text != self.last:
            _log.warning("NATS: %s", text)
        self.last = text
        if not self.connected and "authorization" in text.lower():
            raise error  # trying again with the same secret is of no use


def _without_secret(url: str) -> str:
    return ",".join(_bare(part) for part in url.split(","))


def _bare(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
