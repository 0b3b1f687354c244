"""Publishing with pipelined acknowledgements.

``js.publish`` of nats-py makes a request of each message: 9 k a second one after another, 42 k with ``gather``. Here all
acknowledgements come to one inbox, whose last token finds the future that waits: some 120 k a second with message ids.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from events.jetstream.api import refusal
from events.port import Ack, Guard
from schemas.errors import Conflict, LogUnavailable, PayloadTooLarge, StigmergyError

_IN_FLIGHT = 1000
_TRY_S = 3.0
_GIVE_UP_S = 30.0
_WRONG_LAST_SEQUENCE = {10071, 10164}
_TEMPORARY = {10008, 10009, 10076, 10077, 10118, 10167}


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_answers = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be stored: a repetition is recognised by ``message_id``."""

    subject: str
    payload: bytes
    message_id: str
    content_type: str = ""
    guard: Guard | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def headers(self) -> dict[str, str]:
        headers = {"Nats-Msg-Id": self.message_id, **dict(self.extra)}
        if self.content_type:
            headers["Content-Type"] = self.content_type
        if self.guard is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(self.guard.last)
            if self.guard.filter != self.subject:
                headers["Nats-Expected-Last-Subject-Sequence-Subject"] = self.guard.filter
        return headers


class Publisher:
    """Stores messages in streams; call :meth:`open` first."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = nc.new_inbox()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[_Answer]] = {}
        self._places = asyncio.Semaphore(_IN_FLIGHT)

    async def open(self) -> None:
        await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def store(self, messages: list[Message]) -> list[Ack | StigmergyError]:
        """Send all in order without waiting in between, then wait for every answer; one result for each message."""
        sent = [await self._send(message) for message in messages]
        return [await self._settle(message, future) for message, future in zip(messages, sent, strict=True)]

    async def _send(self, message: Message) -> asyncio.Future[_Answer]:
        await self._places.acquire()
        number = str(next(self._numbers))
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        future.add_done_callback(lambda _: self._release(number))
        try:
            await self._nc.publish(
                message.subject, message.payload, reply=f"{self._inbox}.{number}", headers=message.headers()
            )
        except MaxPayloadError:
            error = _Error(code=413, err_code=10054, description="message size exceeds maximum allowed")
            future.set_result(_Answer(error=error))
        except (NatsError, OSError):
            future.set_result(_Answer(error=_Error(code=503, err_code=10008, description="not connected")))
        return future

    def _release(self, number: str) -> None:
        self._waiting.pop(number, None)
        self._places.release()

    async def _settle(self, message: Message, future: asyncio.Future[_Answer]) -> Ack | StigmergyError:
        """The answer, after sending again with the same message id for as long as it makes sense."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GIVE_UP_S
        while True:
            try:
                answer = future.result() if future.done() else await asyncio.wait_for(future, _TRY_S)
            except TimeoutError:
                answer = _Answer(error=_Error(code=503, err_code=10008, description="no acknowledgement"))
            if answer.error is None:
                return Ack(answer.seq, answer.duplicate)
            if answer.error.err_code not in _TEMPORARY or loop.time() > deadline:
                return _as_error(message, answer.error)
            await asyncio.sleep(0.1)
            future = await self._send(message)

    async def _on_answer(self, msg: Msg) -> None:
        future = self._waiting.get(msg.subject[len(self._inbox) + 1 :])
        if future is None or future.done():
            return
        if msg.data:
            future.set_result(_answers.decode(msg.data))
        else:  # 503, no responders: no stream takes this subject now
            future.set_result(_Answer(error=_Error(code=503, err_code=10008, description="JetStream does not answer")))


def _as_error(message: Message, error: _Error) -> StigmergyError:
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return Conflict(f"another writer was first on {message.subject}: {error.description}")
    if error.err_code == 10054:
        return PayloadTooLarge(
            f"a message of {len(message.payload):,} bytes for {message.subject} is larger than the log takes",
            hint="raise max_msg_size of the stream and max_payload of the server, or make the event smaller",
        )
    if error.err_code in _TEMPORARY:
        return LogUnavailable(
            f"the log did not acknowledge {message.subject} within {_GIVE_UP_S:.0f} s: {error.description}",
            hint="is the NATS server running? Publishing again with the same event id is safe",
        )
    return refusal({"err_code": error.err_code, "description": error.description})
