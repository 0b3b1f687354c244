"""Publishing with pipelined acknowledgements.

``js.publish`` of nats-py makes a request of each message: 9 k a second one after another, 42 k with ``gather``. Here
all acknowledgements come to one inbox, whose last token finds the future that waits.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from events.jetstream.api import NOT_AVAILABLE, TEMPORARY, ApiRefused, call, refusal, soon
from events.jetstream.quick_client import Posted, QuickClient
from events.port import Ack, Guard
from schemas.errors import Conflict, LogUnavailable, PayloadTooLarge, StigmergyError
from schemas.subjects import COMMANDS, DEAD_LETTERS, EVENTS

_log = logging.getLogger(__name__)
_IN_FLIGHT = 1000
_TRY_S = 3.0
_GIVE_UP_S = 30.0
_TICK_S = 0.2
_PAUSE_S = 0.1
_TELL_S = 2.0
_IN_FLIGHT_THERE = 10164
"""A cluster's: another guarded message of that subject is being agreed on, perhaps our own first try. It will pass."""
_WRONG_LAST_SEQUENCE = {10071, _IN_FLIGHT_THERE}
_IMPOSSIBLE = ("Nats-Expected-Last-Msg-Id", "none")
_TOO_LARGE = 10054
_STREAMS = {"events": EVENTS, "commands": COMMANDS, "dead": DEAD_LETTERS}


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
_UNANSWERED = _Answer(error=_Error(503, NOT_AVAILABLE, "not connected"))


class _Round:
    """Messages of one call that were sent one after another, and their answers.

    Each is answered on ``<inbox>.<number of the round>.<its own>``. A future for each message would cost as much again
    as sending it: there is one for all, and it is done when the last answer is there.
    """

    __slots__ = ("answers", "done", "heard_at", "left", "sending")

    def __init__(self, now: float) -> None:
        self.answers: list[_Answer | None] = []
        self.left = 0
        self.heard_at = now
        self.sending = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        if not self.sending and not self.left and not self.done.done():
            self.done.set_result(None)


class Message(NamedTuple):
    """What is to be stored: a repetition is recognised by ``message_id``."""

    subject: str
    payload: bytes
    message_id: str
    content_type: str = ""
    guard: Guard | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def headers(self) -> dict[str, str]:
        headers = {"Nats-Msg-Id": self.message_id}
        if self.extra:
            headers.update(self.extra)
        if self.content_type:
            headers["Content-Type"] = self.content_type
        if self.guard is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(self.guard.last)
            if self.guard.filter != self.subject:
                headers["Nats-Expected-Last-Subject-Sequence-Subject"] = self.guard.filter
        return headers


class Publisher:
    """Stores messages in streams; call :meth:`open` first and :meth:`close` last."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = nc.new_inbox()
        self._numbers = itertools.count(1)
        self._rounds: dict[int, _Round] = {}
        self._in_flight = 0
        self._room = asyncio.Event()
        self._connection = 0
        self._tick: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        self._connection = self._nc.stats["reconnects"]
        subscription = await self._nc.subscribe(f"{self._inbox}.*.*", cb=self._on_answer)
        if isinstance(self._nc, QuickClient):
            self._nc.direct[subscription._id] = self._hear

    def close(self) -> None:
        """After the connection: nothing that is still on its way will be acknowledged."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for one in list(self._rounds.values()):
            self._give_up(one, "the connection was closed")

    async def store(self, messages: list[Message]) -> list[Ack | StigmergyError]:
        """Send all in order without waiting in between, then wait for every answer; one result for each message.

        What was lost with a connection is sent again with the same message ids, in order, before anything else of this
        call. Messages that nats-py had buffered when the connection broke may come before them: who needs the order
        even then guards each message with the sequence of the one before.
        """
        answers: list[_Answer] = [_UNANSWERED] * len(messages)
        left = list(range(len(messages)))
        clock = asyncio.get_running_loop().time
        began, told = clock(), False
        deadline = began + _GIVE_UP_S
        while left:
            for number, answer in zip(left, await self._send_in_order(messages, left), strict=False):
                answers[number] = answer
            still = [number for number in left if _passing(answers[number])]
            if len(still) < len(left):  # it moves: a long call may meet more than one outage
                deadline = clock() + _GIVE_UP_S
            left = still
            if left and (clock() > deadline or self._nc.is_closed):
                break
            if left:
                if not told and clock() - began > _TELL_S:
                    told = True
                    why = answers[left[0]].error
                    _log.warning("the log does not take what is written, trying again: %s", why and why.description)
                await asyncio.sleep(_PAUSE_S)
        if told and not left:
            _log.warning("the log takes what is written again, after %.1f s", clock() - began)
        await self._recognise(messages, answers)
        return [_result(message, answer) for message, answer in zip(messages, answers, strict=True)]

    async def _recognise(self, messages: list[Message], answers: list[_Answer]) -> None:
        """Tell repetitions from conflicts.

        A single server looks at the guard before the message id, so that the second try of a message whose
        acknowledgement was lost conflicts with its own first. It looks at the expected last message id after that: a
        repetition with an impossible one is answered as duplicate, and anything else is refused, never stored.

        A replicated stream looks at the message id first, so there is nothing to tell apart. And it must never be asked
        in this way: it agrees on the message before it looks at the expected id, and then all its replicas stop with a
        "critical write error" (NATS 2.15.0; ``docs/decisions/0022-clusters.md``).
        """
        refused = [number for number, answer in enumerate(answers) if _is_conflict(answer)]
        if not refused:
            return
        try:
            if await self._replicated(messages[refused[0]].subject):
                return
        except LogUnavailable as error:
            for number in refused:
                answers[number] = _lost(error.message)
            return
        probes = [Message(messages[n].subject, b"", messages[n].message_id, extra=(_IMPOSSIBLE,)) for n in refused]
        for number, result in zip(refused, await self.store(probes), strict=True):
            if isinstance(result, Ack):
                answers[number] = _Answer(seq=result.sequence, duplicate=True)
            elif isinstance(result, LogUnavailable) and not isinstance(result, ApiRefused):
                answers[number] = _lost(result.message)

    async def _replicated(self, subject: str) -> bool:
        """Whether its stream is kept by several servers. Asked each time: an operator may change it at any time."""
        stream = _STREAMS.get(subject.partition(".")[0])
        if stream is None:
            return True
        about = await soon(self._nc, lambda each_s: call(self._nc, f"STREAM.INFO.{stream}", timeout_s=each_s))
        return int(about["config"]["num_replicas"]) > 1

    async def _send_in_order(self, messages: list[Message], numbers: list[int]) -> list[_Answer]:
        """Send until all are sent or the connection changes: then what was sent before has to go first again.

        Returns the answers of those that were sent, which are the first ones.
        """
        stats, clock = self._nc.stats, asyncio.get_running_loop().time
        connection, name, sent = stats["reconnects"], next(self._numbers), _Round(clock())
        self._rounds[name] = sent
        if self._tick is None:
            self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._watch)
        try:
            for place, number in enumerate(numbers):
                if self._in_flight >= _IN_FLIGHT:
                    await self._let_go()
                    await self._find_room()
                if not self._nc.is_connected or stats["reconnects"] != connection:
                    break
                sent.answers.append(None)
                sent.left += 1
                self._in_flight += 1
                sent.heard_at = clock()
                await self._send(sent, place, f"{self._inbox}.{name}.{place}", messages[number])
            await self._let_go()
            sent.sending = False
            sent.settle()
            await sent.done
        finally:
            del self._rounds[name]
            self._in_flight -= sent.left
            self._room.set()
        return [answer or _UNANSWERED for answer in sent.answers]

    async def _find_room(self) -> None:
        while self._in_flight >= _IN_FLIGHT:
            self._room.clear()
            await self._room.wait()

    async def _let_go(self) -> None:
        if isinstance(self._nc, QuickClient):
            await self._nc.kick()

    async def _send(self, sent: _Round, place: int, reply: str, message: Message) -> None:
        posted = Posted(message.subject, message.payload, reply, message.headers())
        if isinstance(self._nc, QuickClient) and self._nc.post(posted):
            return
        try:
            await self._nc.publish(message.subject, message.payload, reply=reply, headers=posted.headers)
        except MaxPayloadError:
            self._answer(sent, place, _Answer(error=_Error(413, _TOO_LARGE, "message size exceeds maximum allowed")))
        except (NatsError, OSError) as error:
            self._answer(sent, place, _lost(str(error)))

    def _answer(self, sent: _Round, place: int, answer: _Answer) -> None:
        if sent.answers[place] is not None:
            return
        sent.answers[place] = answer
        sent.left -= 1
        self._in_flight -= 1
        if self._in_flight < _IN_FLIGHT:
            self._room.set()
        if not sent.left:
            sent.settle()

    def _give_up(self, sent: _Round, reason: str) -> None:
        for place, answer in enumerate(sent.answers):
            if answer is None:
                self._answer(sent, place, _lost(reason))

    def _watch(self) -> None:
        """Give up on acknowledgements that will not come. One timer for all; one each costs 10 µs a message."""
        now, connection = asyncio.get_running_loop().time(), self._nc.stats["reconnects"]
        every = connection != self._connection or self._nc.is_closed
        self._connection = connection
        for sent in list(self._rounds.values()):
            if every or sent.heard_at + _TRY_S < now:
                self._give_up(sent, "no acknowledgement")
        self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._watch) if self._rounds else None

    async def _on_answer(self, msg: Msg) -> None:
        self._hear(msg.subject.encode(), b"", msg.data, b"")

    def _hear(self, subject: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
        name, _, place = subject[len(self._inbox) + 1 :].partition(b".")
        sent = self._rounds.get(int(name))
        if sent is None:
            return  # too late: it was given up, and sent again
        sent.heard_at = asyncio.get_running_loop().time()
        if data:
            self._answer(sent, int(place), _answers.decode(data))
        else:  # 503, no responders: no stream takes this subject now
            self._answer(sent, int(place), _lost("JetStream does not answer"))


def _lost(reason: str) -> _Answer:
    return _Answer(error=_Error(503, NOT_AVAILABLE, reason))


def _passing(answer: _Answer) -> bool:
    return answer.error is not None and answer.error.err_code in {*TEMPORARY, _IN_FLIGHT_THERE}


def _is_conflict(answer: _Answer) -> bool:
    return answer.error is not None and answer.error.err_code in _WRONG_LAST_SEQUENCE


def _result(message: Message, answer: _Answer) -> Ack | StigmergyError:
    return Ack(answer.seq, answer.duplicate) if answer.error is None else _as_error(message, answer.error)


def _as_error(message: Message, error: _Error) -> StigmergyError:
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return Conflict(f"another writer was first on {message.subject}: {error.description}")
    if error.err_code == _TOO_LARGE:
        return PayloadTooLarge(
            f"a message of {len(message.payload):,} bytes for {message.subject} is larger than the log takes",
            hint="raise max_msg_size of the stream and max_payload of the server, or make the event smaller",
        )
    if error.err_code in TEMPORARY:
        return LogUnavailable(
            f"the log did not acknowledge {message.subject} within {_GIVE_UP_S:.0f} s: {error.description}",
            hint="is the NATS server running? Publishing again with the same event id is safe",
        )
    return refusal({"err_code": error.err_code, "description": error.description})
