"""Commands on JetStream: a work queue, and an inbox for the answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from events.commands import Handler, no_answer, refusal_of
from events.jetstream.api import call
from events.jetstream.dead_letters import DeadLetters
from events.jetstream.place import place_of
from events.jetstream.publisher import Message, Publisher
from events.jetstream.pull import ConsumerGone, Pull
from events.jetstream.quick_client import QuickClient
from events.jetstream.reader import patiently
from schemas.commands import Command, CommandReply, command_json, parse_command
from schemas.errors import InvalidCommand, LimitExceeded, StigmergyError
from schemas.headers import ANSWER_TO
from schemas.subjects import COMMANDS, of_command

_log = logging.getLogger(__name__)
_CONSUMER = "orchestrator"
_SECOND = 1_000_000_000
_AT_ONCE = 64
_MOST_TRIES = 30


class JetStreamCommands:
    """A :class:`~events.commands.CommandBus` over NATS. Use :meth:`open`."""

    def __init__(self, nc: Client, publisher: Publisher) -> None:
        self._nc = nc
        self._publisher = publisher
        self._dead = DeadLetters(nc, publisher)

    @classmethod
    async def open(cls, nc: Client) -> JetStreamCommands:
        publisher = Publisher(nc)
        await publisher.open()
        return cls(nc, publisher)

    async def send(self, command: Command, *, timeout_s: float = 10.0) -> CommandReply:
        inbox = self._nc.new_inbox()
        subscription = await self._nc.subscribe(inbox, max_msgs=1)
        try:
            message = Message(
                of_command(command.tenant, command.verb),
                command_json(command),
                command.id,
                "application/json",
                extra=((ANSWER_TO, inbox),),
            )
            [stored] = await self._publisher.store([message])
            if isinstance(stored, StigmergyError):
                raise stored
            answer = await subscription.next_msg(timeout=timeout_s)
            return CommandReply.model_validate_json(answer.data)
        except TimeoutError:
            raise no_answer(command, timeout_s) from None
        finally:
            if not self._nc.is_closed:
                await subscription.unsubscribe()

    async def serve(self, handler: Handler) -> None:
        working: dict[asyncio.Task[None], Msg] = {}
        try:
            while True:
                await patiently(self._nc, self._ensure_consumer)
                try:
                    async with Pull(self._nc, COMMANDS, _CONSUMER, _AT_ONCE, headers=True) as pull:
                        while True:
                            for msg in await pull.next():
                                task = asyncio.create_task(self._handle(msg, handler))
                                working[task] = msg
                                task.add_done_callback(lambda done: working.pop(done, None))
                except ConsumerGone:
                    continue
        finally:
            unfinished = dict(working)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            await self._give_back(list(unfinished.values()))

    async def _give_back(self, messages: list[Msg]) -> None:
        """To another orchestrator at once, instead of after the wait: somebody waits for an answer."""
        if self._nc.is_closed or self._nc.is_draining:
            return
        for msg in messages:
            await self._nc.publish(msg.reply, b"-NAK")
        await self._nc.flush()

    async def _ensure_consumer(self) -> None:
        config: dict[str, Any] = {
            "name": _CONSUMER,
            "durable_name": _CONSUMER,
            "ack_policy": "explicit",
            "ack_wait": 10 * _SECOND,  # carrying a command out twice does it once
            "max_ack_pending": 4 * _AT_ONCE,
            "deliver_policy": "all",
        }
        request = {"stream_name": COMMANDS, "config": config, "action": ""}
        await call(self._nc, f"CONSUMER.CREATE.{COMMANDS}.{_CONSUMER}", request)

    async def _handle(self, msg: Msg, handler: Handler) -> None:
        try:
            if place_of(msg).delivered > _MOST_TRIES:
                raise LimitExceeded(f"a command that could not be carried out {_MOST_TRIES} times")  # noqa: TRY301
            reply = await handler(parse_command(msg.data))
        except InvalidCommand as error:
            await self._dead.bury(msg, error, "commands")
            reply = refusal_of(error)
        except StigmergyError as error:
            if error.retryable:
                _log.warning("command %s comes again: %s", msg.subject, error)
                await self._nc.publish(msg.reply, b'-NAK {"delay": 1000000000}')
                return
            await self._dead.bury(msg, error, "commands")
            reply = CommandReply(accepted=False, code=error.code, reason=error.message, hint=error.hint)
        except Exception:  # noqa: BLE001 - whatever it is, its sender and the other commands must not hang on it
            # A flaw of ours. The command is tried again a few times, perhaps by another release, and then kept aside.
            _log.exception("command %s failed", msg.subject)
            await self._nc.publish(msg.reply, b'-NAK {"delay": 1000000000}')
            return
        await self._nc.publish(msg.reply, b"+ACK")
        inbox = (msg.headers or {}).get(ANSWER_TO)
        if inbox:
            try:
                await self._nc.publish(inbox, reply.model_dump_json().encode())
            except (NatsError, ValueError) as error:
                _log.warning("the sender of %s cannot be answered: %s", msg.subject, error)
        if isinstance(self._nc, QuickClient):
            self._nc.write_out()  # before all that follows from the command is decided: that may take 0.1 s
