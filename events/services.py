"""Questions and answers between processes: quick, unstored, answered by whoever serves the name.

A question goes to ``ask.<tenant>.<service>`` on core NATS; all who serve a name share its questions. The answer comes
in parts, because one message holds a megabyte at most: each part is a message on the asker's inbox; behind them comes
one with the header ``Stig-End``. An error travels in that one and is raised where the question was asked.

The decisions of a mission never come this way: they are on the log. This is for looking (queries) and for asking a
process to do something with what is its own (rebuilding a projection).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from schemas.errors import InvalidInput, LimitExceeded, Refused, StigmergyError, TimedOut, Unavailable
from schemas.headers import END, ERROR, OK
from schemas.ids import token

_log = logging.getLogger(__name__)
_NO_RESPONDERS = "503"
_TRIES, _AGAIN_S = 4, 0.1
PART_BYTES = 512 * 1024
"""A part should not be larger."""

Answer = Callable[[str, bytes], AsyncIterator[bytes]]
"""From the tenant and the question to the parts of the answer. Raises a :class:`StigmergyError` to refuse."""

_ERRORS: dict[str, type[StigmergyError]] = {
    kind.code: kind for kind in (InvalidInput, Refused, TimedOut, LimitExceeded, Unavailable, StigmergyError)
}


class _Trouble(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str = ""


class Services(Protocol):
    """Asks and answers."""

    def ask(self, tenant: str, service: str, question: bytes, *, timeout_s: float = 10.0) -> AsyncGenerator[bytes]:
        """The parts of the answer as they come.

        Raises:
            Unavailable: nobody serves this name.
            TimedOut: no part came for ``timeout_s`` seconds.
            StigmergyError: whoever served it refused; its class is kept for the commonest ones.
        """

    async def serve(self, service: str, answer: Answer) -> None:
        """Answer the questions of all tenants, until the connection is closed."""


def subject_of(tenant: str, service: str) -> str:
    """Where a question goes. ``service``: tokens with dots, such as ``analytics.query``."""
    return f"ask.{token(tenant, 'tenant')}.{service}"


class NatsServices:
    """Questions over core NATS."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(
        self, tenant: str, service: str, question: bytes, *, timeout_s: float = 10.0
    ) -> AsyncGenerator[bytes]:
        inbox = self._nc.new_inbox()
        answers = await self._nc.subscribe(inbox)
        tries = _TRIES
        try:
            await self._nc.publish(subject_of(tenant, service), question, reply=inbox)
            while True:
                part = await _next(answers.next_msg, service, timeout_s)
                headers = part.headers or {}
                if headers.get("Status") == _NO_RESPONDERS:
                    tries -= 1
                    if not tries:
                        raise _nobody(service)
                    await asyncio.sleep(_AGAIN_S)  # whoever serves it may be changing its connection just now
                    await self._nc.publish(subject_of(tenant, service), question, reply=inbox)
                    continue
                end = headers.get(END)
                if end == OK:
                    return
                if end is not None:
                    raise _raised(part.data)
                yield part.data
        finally:
            if not self._nc.is_closed:
                await answers.unsubscribe()

    async def serve(self, service: str, answer: Answer) -> None:
        async def hear(msg: Msg) -> None:
            # A task each: a long answer must not keep the next question waiting.
            task = asyncio.create_task(self._answer(msg, answer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        await self._nc.subscribe(f"ask.*.{service}", queue=service, cb=hear)

    async def _answer(self, msg: Msg, answer: Answer) -> None:
        if not msg.reply:
            return
        tenant = msg.subject.split(".", 2)[1]
        end, said = OK, b""
        try:
            async for part in answer(tenant, msg.data):
                await self._nc.publish(msg.reply, part)
        except StigmergyError as error:
            end, said = ERROR, _said(error)
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the service must go on
            _log.exception("a question to %s could not be answered", msg.subject)
            end = ERROR
            said = _said(StigmergyError(f"the question could not be answered: {error}", hint="its log says why"))
        await self._nc.publish(msg.reply, said, headers={END: end})


async def _next(next_msg: Callable[..., object], service: str, timeout_s: float) -> Msg:
    try:
        return await next_msg(timeout=timeout_s)  # type: ignore[no-any-return, misc]
    except NoRespondersError:
        raise _nobody(service) from None
    except TimeoutError:
        raise TimedOut(
            f"{service} did not answer within {timeout_s:g} s", hint="it may be busy: ask for less, or again later"
        ) from None


def _nobody(service: str) -> Unavailable:
    role = service.partition(".")[0]
    return Unavailable(
        f"nobody serves {service}", hint=f"start it: stig serve {role}, or stig dev; `stig status` shows what runs"
    )


def _said(error: StigmergyError) -> bytes:
    return msgspec.json.encode(_Trouble(error.code, error.message, error.hint))


def _raised(said: bytes) -> StigmergyError:
    trouble = msgspec.json.decode(said, type=_Trouble)
    return _ERRORS.get(trouble.code, StigmergyError)(trouble.message, hint=trouble.hint)
