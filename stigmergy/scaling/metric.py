"""The backlog over HTTP, for autoscalers that cannot ask on NATS: KEDA's ``metrics-api`` trigger above all.

``GET /backlog/<skill>`` answers ``{"skill": "test", "load": 12, …}``, where ``load`` is what waits and what runs: the
number that our own scaler divides by the attempts wanted for each worker. ``GET /healthz`` answers when it can.

One program inside a cluster reads it, so it is HTTP/1.1 by hand, one request a connection; people have the gateway.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import msgspec

from events.services import Services
from schemas.backlog import BACKLOG, SkillBacklog
from schemas.errors import InvalidInput, StigmergyError

_log = logging.getLogger(__name__)
_HEAD_BYTES = 8192
_READ_S = 5.0
_PATH = "/backlog/"


class BacklogMetric:
    """Serves the backlog of one tenant.

    Args:
        listen: ``host:port``; port 0 takes a free one, which ``port`` tells afterwards.
    """

    def __init__(self, services: Services, tenant: str, listen: str) -> None:
        self._services = services
        self._tenant = tenant
        host, colon, port = listen.rpartition(":")
        if not (colon and host and port.isdigit()):
            raise InvalidInput(f"{listen!r} is no address", hint="write HOST:PORT, for instance 0.0.0.0:8099")
        self._host, self.port = host, int(port)

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled. ``ready`` is set when it listens."""
        server = await asyncio.start_server(self._serve, self._host, self.port, limit=_HEAD_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            if ready is not None:
                ready.set()
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head.split(b"\r\n", 1)[0].decode("ascii", "replace"))
            start = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            writer.write(f"{start}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
            _log.debug("a request that is none: %s", error)
        finally:
            writer.close()

    async def _answer(self, line: str) -> tuple[HTTPStatus, bytes]:
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, b"{}"
        if not path.startswith(_PATH) and path != "/healthz":
            return HTTPStatus.NOT_FOUND, b"{}"
        try:
            answer = self._services.ask(self._tenant, BACKLOG, b"", timeout_s=3.0)
            said = b"".join([part async for part in answer])
        except StigmergyError as error:
            # Not a number that would be taken for "nothing to do": KEDA then keeps what there is.
            return HTTPStatus.SERVICE_UNAVAILABLE, msgspec.json.encode({"error": error.message})
        if path == "/healthz":
            return HTTPStatus.OK, b'{"ok":true}'
        skill = path.removeprefix(_PATH)
        found = {one.skill: one for one in msgspec.json.decode(said, type=list[SkillBacklog])}
        one = found.get(skill, SkillBacklog(skill))  # of a skill that nobody wants now nothing waits
        return HTTPStatus.OK, msgspec.json.encode({**msgspec.to_builtins(one), "load": one.waiting + one.running})
