"""One way to connect to NATS: patient with servers that move, quick to notice one that is gone."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from events.jetstream.quick_client import QuickClient
from schemas.errors import LogUnavailable
from schemas.ids import is_token

_log = logging.getLogger(__name__)
_ONE_SERVER_S = 2


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
    client, reporter = QuickClient(), _Reporter()
    credentials = _credentials(url)
    # Inboxes of users of one name lie under it, so that permissions can keep those of others from hearing.
    if is_token(credentials.get("user", "")):
        credentials["inbox_prefix"] = f"_INBOX.{credentials['user']}"
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
                **credentials,
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


class _Reporter:
    """Hears of errors; says each once, for a server that is away is tried five times a second."""

    def __init__(self) -> None:
        self.connected = False
        self.last = ""

    async def hear(self, error: Exception) -> None:
        if not self.connected and "authorization" in self.last.lower():
            return  # what follows on it, such as a reset, is no news
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
