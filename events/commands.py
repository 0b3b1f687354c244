"""The way of commands: durable until somebody has decided, with an answer for whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.commands import Command, CommandReply, command_json, parse_command
from schemas.errors import InvalidCommand, TimedOut

Handler = Callable[[Command], Awaitable[CommandReply]]


class CommandBus(Protocol):
    """Sends commands and hands them, each to one of those who serve."""

    async def send(self, command: Command, *, timeout_s: float = 10.0) -> CommandReply:
        """Send a command and wait for the answer.

        Raises:
            TimedOut: the command is kept, but nobody has answered yet.
            LogUnavailable: the command could not be stored.
        """

    async def serve(self, handler: Handler) -> None:
        """Handle commands for ever. What is no command goes to the dead letters, and its sender is told."""


def no_answer(command: Command, timeout_s: float) -> TimedOut:
    """The error for a command that was stored but not answered in time."""
    return TimedOut(
        f"no orchestrator answered {command.verb!r} for mission {command.mission!r} within {timeout_s:g} s",
        hint="the command is kept and will be carried out; `stig status` shows whether an orchestrator runs",
    )


def refusal_of(error: InvalidCommand) -> CommandReply:
    """The answer to something that is no command."""
    return CommandReply(accepted=False, code=error.code, reason=error.message, hint=error.hint)


class MemoryCommands:
    """A :class:`CommandBus` within one process, for unit tests."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[CommandReply]]] = asyncio.Queue()

    async def send(self, command: Command, *, timeout_s: float = 10.0) -> CommandReply:
        answer: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        await self._queue.put((command_json(command), answer))
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise no_answer(command, timeout_s) from None

    async def serve(self, handler: Handler) -> None:
        while True:
            raw, answer = await self._queue.get()
            try:
                reply = await handler(parse_command(raw))
            except InvalidCommand as error:
                reply = refusal_of(error)
            if not answer.done():
                answer.set_result(reply)
