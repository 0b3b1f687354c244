"""Messages nobody can handle: kept with the reason, once for each consumer that gave up."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote

from nats.aio.client import Client
from nats.aio.msg import Msg

from events.jetstream.api import NOT_FOUND, ApiRefused, call
from events.jetstream.packing import packed, unpacked
from events.jetstream.place import Place, place_of
from events.jetstream.publisher import Message, Publisher
from events.jetstream.reader import Reader
from events.port import DeadLetter, Guard, Stored, Window
from schemas.errors import Conflict, InvalidEvent, InvalidInput, StigmergyError
from schemas.headers import CODE, CONSUMER, REASON, SEQUENCE, SUBJECT
from schemas.subjects import DEAD_LETTERS

_READABLE = " !\"#$&'()*+,/:;<=>?@[]^`{|}"


class DeadLetters:
    """The stream of dead letters, ``dead.<consumer>.<original sequence>``."""

    def __init__(self, nc: Client, publisher: Publisher) -> None:
        self._nc = nc
        self._publisher = publisher

    async def bury(self, msg: Msg, error: StigmergyError, consumer: str) -> None:
        """As :meth:`keep`, for a message as it was delivered."""
        await self.keep(Stored(place_of(msg).sequence, msg.subject, msg.data), error, consumer)

    async def keep(self, stored: Stored, error: StigmergyError, consumer: str) -> None:
        """Keep a message with the reason. Keeping it again for the same consumer changes nothing.

        Raises:
            LogUnavailable, DiskFull: it could not be kept.
        """
        sequence = stored.sequence
        payload, said = packed(stored.raw)
        extra = (
            *said,
            (SUBJECT, _header(stored.subject)),
            (SEQUENCE, str(sequence)),
            (CODE, error.code),
            (CONSUMER, consumer),
            (REASON, _header(error.message[:2000])),
        )
        subject = f"dead.{consumer}.{sequence}"
        message = Message(subject, payload, f"dead:{consumer}:{sequence}", guard=Guard(subject, 0), extra=extra)
        [result] = await self._publisher.store([message])
        # The guard remembers longer than the window of message ids: a conflict says that it is kept already.
        if isinstance(result, StigmergyError) and not isinstance(result, Conflict):
            raise result

    async def all(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter, oldest first."""
        async with Reader(self._nc, DEAD_LETTERS, Window(("dead.>",)), 100, headers=True) as reader:
            while reader.pending:
                for place, msg in await reader.next():
                    yield _letter(place, msg)

    async def retry(self, sequence: int) -> int:
        """Put the original bytes back on their subject; returns their new sequence.

        Raises:
            InvalidInput: there is no such letter, or it was no event.
            LogUnavailable, DiskFull: the log cannot take it now.
        """
        subject, raw = await self._original(sequence)
        if not subject.startswith("events."):
            raise InvalidEvent(f"dead letter {sequence} was no event", hint="send the command again instead")
        payload, said = packed(raw)
        again = Message(subject, payload, f"retry:{DEAD_LETTERS}:{sequence}", extra=said)
        [result] = await self._publisher.store([again])
        if isinstance(result, StigmergyError):
            raise result
        await call(self._nc, f"STREAM.MSG.DELETE.{DEAD_LETTERS}", {"seq": sequence})
        return result.sequence

    async def _original(self, sequence: int) -> tuple[str, bytes]:
        try:
            found = (await call(self._nc, f"STREAM.MSG.GET.{DEAD_LETTERS}", {"seq": sequence}))["message"]
        except ApiRefused as error:
            if error.number in NOT_FOUND:
                raise InvalidInput(
                    f"there is no dead letter {sequence}", hint="`stig events dead` lists them"
                ) from error
            raise
        headers = _header_lines(base64.b64decode(found.get("hdrs", "")))
        return unquote(headers.get(SUBJECT, "")), unpacked(base64.b64decode(found.get("data", "")))


def _letter(place: Place, msg: Msg) -> DeadLetter:
    headers = msg.headers or {}
    return DeadLetter(
        sequence=place.sequence,
        subject=unquote(headers.get(SUBJECT, "")),
        reason=unquote(headers.get(REASON, "")),
        code=headers.get(CODE, ""),
        consumer=headers.get(CONSUMER, ""),
        original_sequence=int(headers.get(SEQUENCE, "0")),
        raw=unpacked(msg.data),
    )


def _header(value: str) -> str:
    """One line of ASCII, still readable: a header's value can be no more than that."""
    return quote(value, safe=_READABLE)


def _header_lines(raw: bytes) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in raw.decode().split("\r\n")[1:] if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
