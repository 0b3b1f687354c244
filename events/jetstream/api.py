"""Requests to the JetStream API, in plain JSON: nats-py's typed configurations lag behind the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from schemas.errors import DiskFull, LogUnavailable, StigmergyError

NOT_FOUND = {10014, 10037, 10059}
NOT_AVAILABLE = 10008
TEMPORARY = frozenset({NOT_AVAILABLE, 10009, 10076, 10118, 10158, 10163, 10167})
"""Not available, no leader, not enabled yet, stream offline, id or sequence still in process, too many requests. Names
and numbers: https://github.com/nats-io/nats-server/blob/main/server/errors.json"""
_NO_STREAM = 10059
_SOON_S = 15.0
_TRY_S = 2.0
_PAUSE_S = 0.25
_NO_SPACE = {10023, 10047, 10077}


class ApiRefused(LogUnavailable):
    """JetStream answered with an error. ``number`` is its ``err_code``."""

    def __init__(self, message: str, *, hint: str = "", number: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.number = number

    @property
    def passing(self) -> bool:
        """Whether it may be otherwise in a moment, as while a cluster elects a leader."""
        return self.number in TEMPORARY


async def call(
    nc: Client, subject: str, request: dict[str, Any] | None = None, *, timeout_s: float = 5.0
) -> dict[str, Any]:
    """Ask ``$JS.API.<subject>``.

    Raises:
        ApiRefused: the server answered with an error.
        LogUnavailable: it did not answer.
    """
    try:
        reply = await nc.request(f"$JS.API.{subject}", msgspec.json.encode(request or {}), timeout=timeout_s)
    except (TimeoutError, NatsError, OSError) as error:
        raise LogUnavailable(
            f"JetStream did not answer {subject.split('.')[0].lower()} request: {error or type(error).__name__}",
            hint="is the NATS server running, with JetStream enabled?",
        ) from error
    answer: dict[str, Any] = msgspec.json.decode(reply.data)
    if "error" in answer:
        raise refusal(answer["error"])
    return answer


async def soon[T](nc: Client, attempt: Callable[[float], Awaitable[T]]) -> T:
    """Try an enquiry for some seconds: a cluster that has just lost a leader answers nobody, until another is elected.

    Args:
        attempt: is given the seconds that one try may take; must be harmless to repeat.

    Raises:
        LogUnavailable: nobody answered in time, or JetStream refuses for a reason that will not pass.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + _SOON_S
    while True:
        try:
            return await attempt(_TRY_S)
        except LogUnavailable as error:
            final = isinstance(error, ApiRefused) and not error.passing
            if final or nc.is_closed or clock() > deadline:
                raise
            await asyncio.sleep(_PAUSE_S)


def refusal(error: dict[str, Any]) -> StigmergyError:
    """The error for what JetStream answered: no space is told apart from the rest."""
    number = int(error.get("err_code", 0))
    description = str(error.get("description", "unknown error"))
    if number in _NO_SPACE or "no space" in description or "insufficient" in description:
        return DiskFull(
            f"JetStream cannot store more: {description}", hint="free disk space, or raise the server's limits"
        )
    hint = "create the streams: `stig dev` and ensure_streams() do" if number == _NO_STREAM else ""
    return ApiRefused(f"JetStream refused: {description} ({number})", hint=hint, number=number)
