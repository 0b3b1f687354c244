"""One leader among many: a lease in a NATS key-value bucket, whose server lets it expire.

The leader's name is a key that the server drops after :data:`LEASE_S` seconds (``max_age`` of the bucket's stream). To
become leader is to write the key where there is none; to stay is to write it again, compared with the revision written
before. Revisions are sequences of a stream: they only grow, so the one of a leader's first write fences its term, and
whoever writes for it to the log compares with what the log held (``docs/fleet.md``, "Leaders").

A leader that cannot renew stops before the server would let another one begin: it counts from the moment it asked, the
server from the moment it wrote, which is later.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from events.jetstream.api import NOT_FOUND, ApiRefused, call
from schemas.errors import LogUnavailable
from schemas.ids import token, uuid7

LEASE_S = 3.0
BUCKET = "ELECTIONS"
STREAM = f"KV_{BUCKET}"
_RENEW_S = LEASE_S / 5
_ASK_S = LEASE_S / 6
_MARGIN_S = LEASE_S / 6
_SECOND = 1_000_000_000
_EXISTS = 10058
_log = logging.getLogger(__name__)


class _Lost(Exception):
    """Somebody else has the key, or nobody could be asked in time."""


class Election:
    """A seat that one contender holds at a time.

    Args:
        name: of the seat, such as ``scaler``: contenders for one seat use the same.
        who: this contender, for people.
        replicas: on how many servers of a cluster the bucket is kept.
    """

    def __init__(self, nc: Client, name: str, who: str, *, replicas: int = 1) -> None:
        self._nc = nc
        self._subject = f"$KV.{BUCKET}.{token(name, 'seat')}"
        self._name = name
        self._value = msgspec.json.encode({"who": who, "nonce": uuid7()})
        self._replicas = replicas
        self._revision = 0
        self._until = 0.0

    async def run(self, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Stand for the seat for ever; while it is ours, ``work`` runs with the term's fencing token.

        ``work`` is cancelled when the seat is lost, and started anew when it is won again. If it ends by itself or
        fails, so does this. When this is cancelled, the seat is given up at once.
        """
        while True:
            term = await self._win()
            _log.info("%s: elected, term %d", self._name, term)
            working = asyncio.create_task(work(term))
            holding = asyncio.create_task(self._hold())
            try:
                await asyncio.wait({working, holding}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return await working
            finally:
                kept = not holding.done()
                for task in (working, holding):
                    task.cancel()
                await asyncio.gather(working, holding, return_exceptions=True)
                if kept:
                    await self._resign()
            _log.warning("%s: the seat of term %d is lost", self._name, term)

    async def _win(self) -> int:
        while True:
            try:
                await self._write(0)
            except _Lost:
                await asyncio.sleep(_ASK_S)
            except LogUnavailable as error:
                _log.debug("%s: %s", self._name, error)
                await self._prepare()
            else:
                return self._revision

    async def _hold(self) -> None:
        """Renew the lease until it is lost."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await self._write(self._revision)
            except _Lost:
                return
            except LogUnavailable:
                if clock() > self._until - _MARGIN_S - _RENEW_S:
                    return

    async def _write(self, last: int) -> None:
        """Write the key if ``last`` is its revision; 0 if it must not be there.

        Raises:
            _Lost: it has another revision, and not by a write of ours whose answer was lost.
            LogUnavailable: nobody answered.
        """
        asked = asyncio.get_running_loop().time()
        headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
        try:
            reply = await self._nc.request(self._subject, self._value, timeout=_RENEW_S, headers=headers)
        except (NatsError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"the election cannot be held: {error or type(error).__name__}") from error
        answer = msgspec.json.decode(reply.data)
        if "error" not in answer:
            self._revision = int(answer["seq"])
        else:
            self._revision = await self._ours()
        self._until = asked + LEASE_S

    async def _ours(self) -> int:
        """The revision of the key if the last write was ours. Raises :class:`_Lost`."""
        try:
            found = await call(
                self._nc, f"STREAM.MSG.GET.{STREAM}", {"last_by_subj": self._subject}, timeout_s=_RENEW_S
            )
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                raise _Lost from None
            raise
        if base64.b64decode(found["message"].get("data", "")) != self._value:
            raise _Lost
        return int(found["message"]["seq"])

    async def _resign(self) -> None:
        if self._nc.is_closed:
            return
        try:
            await call(self._nc, f"STREAM.MSG.DELETE.{STREAM}", {"seq": self._revision}, timeout_s=_RENEW_S)
        except LogUnavailable as error:
            _log.info("%s: the seat is free once its lease has ended: %s", self._name, error)

    async def _prepare(self) -> None:
        """Make the bucket if it is not there."""
        config = {
            "name": STREAM,
            "subjects": [f"$KV.{BUCKET}.>"],
            "max_msgs_per_subject": 1,
            "max_age": int(LEASE_S * _SECOND),
            "duplicate_window": int(LEASE_S * _SECOND),
            "discard": "new",
            "storage": "file",
            "num_replicas": self._replicas,
            "max_msg_size": 4096,
        }
        try:
            await call(self._nc, f"STREAM.CREATE.{STREAM}", config, timeout_s=2.0)
        except ApiRefused as error:
            if error.number != _EXISTS:
                _log.warning("%s: %s", self._name, error)
                await asyncio.sleep(_ASK_S)
        except LogUnavailable:
            await asyncio.sleep(_ASK_S)
