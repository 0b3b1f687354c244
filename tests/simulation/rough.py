"""A bus that misbehaves as much as a sound one may: slow, away for a moment, deaf, saying things twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from events.appending import append_framed
from events.commands import Handler, no_answer
from events.memory import MemoryLog, matches
from events.port import Ack, Batch, Guard, Wants, Window, Write, everything
from events.signals import Listener
from schemas.commands import Command, CommandReply, command_json, parse_command
from schemas.envelope import Event
from schemas.errors import LogUnavailable, StigmergyError
from tests.simulation.fates import Fates
from tests.simulation.node import Effect, Node

_ACK_WAIT_S = 10.0
_AT_ONCE = 8


class RoughLog(MemoryLog):
    """One process's view of a log: every call takes a while, and some fail before or after the log has taken them.

    A process may die over a call; then what it wrote may arrive later all the same.
    """

    def __init__(self, inner: MemoryLog, node: Node, fates: Fates) -> None:
        super().__init__()
        self._inner, self._node, self._fates = inner, node, fates
        self._latency = fates.stream(f"latency {node.name}")

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        away: list[Ack | StigmergyError] = [LogUnavailable("the log is away")] * len(writes)
        if not await self._begin(lambda: self._inner.write(writes)):
            return away
        answers = await self._inner.write(writes)
        return answers if await self._end() else away

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        # Message by message, as on JetStream: between two of them the writer may die, or another one may write.
        return await append_framed(self.write, events, guard)

    async def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        async for each in self._inner.follow(window, batch=batch, wants=wants):
            await self._wait()
            if self._fates.strikes("news_late"):
                await asyncio.sleep(self._fates.size("news_late", 0.2, 4.0))
            yield each

    async def read(self, window: Window) -> AsyncIterator[Event]:
        async for event in self._inner.read(window):
            if self._latency.random() < 0.1:
                await self._wait()
            yield event

    async def oldest(self) -> tuple[int, datetime | None]:
        await self._wait()
        return await self._inner.oldest()

    async def last_sequence(self) -> int:
        await self._wait()
        return await self._inner.last_sequence()

    async def newest(self, subject: str) -> int:
        await self._wait()
        return await self._inner.newest(subject)

    async def missions(self, types: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        await self._wait()
        return await self._inner.missions(types)

    async def _begin(self, effect: Effect) -> bool:
        """The way to the log. False if it is refused there."""
        number = self._node.sends(effect)
        try:
            await self._wait()
            if self._fates.strikes("killed_before_write"):
                await self._dies()
            return not self._fates.strikes("log_refused")
        finally:
            self._node.on_the_way.pop(number, None)

    async def _end(self) -> bool:
        """The way back. False if the answer is lost there."""
        if self._fates.strikes("killed_after_write"):
            await self._dies()
        await self._wait()
        return not self._fates.strikes("log_unsure")

    async def _dies(self) -> None:
        self._node.die()
        await asyncio.sleep(3600)

    async def _wait(self) -> None:
        if self._node.dead:
            raise asyncio.CancelledError  # a dead process asks for nothing
        if self._fates.strikes("log_slow"):
            await asyncio.sleep(self._fates.size("log_slow", 0.1, 3.0))
        await asyncio.sleep(self._latency.random() * self._latency.choice((0.001, 0.02)))


def linger(node: Node, fates: Fates) -> None:
    """What a process that has just died had on the way may arrive all the same."""
    for effect in node.on_the_way.values():
        if fates.strikes("log_lingers"):
            later = fates.size("log_lingers", 0.0, 5.0)
            asyncio.get_running_loop().call_later(later, _arrives, node, effect)
    node.on_the_way.clear()


def _arrives(node: Node, effect: Effect) -> None:
    task = asyncio.ensure_future(effect())
    node.arriving.append(task)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody is left who wants to know


class RoughCommands:
    """Commands that come again until somebody has carried them out; several are served at once."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[CommandReply]]] = asyncio.Queue()
        self._on_the_way = 0

    async def all_done(self) -> None:
        """Wait until no command comes any more, nor comes again."""
        while self._on_the_way:
            await asyncio.sleep(0.1)

    async def send(self, command: Command, *, timeout_s: float = 10.0) -> CommandReply:
        answer: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        self._deliver(command_json(command), answer)
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise no_answer(command, timeout_s) from None

    def _deliver(self, raw: bytes, answer: asyncio.Future[CommandReply]) -> None:
        for _ in range(2 if self._fates.strikes("command_doubled") else 1):
            late = self._fates.size("command_late", 0.1, 5.0) if self._fates.strikes("command_late") else 0.0
            self._again(late, raw, answer)

    def _again(self, after_s: float, raw: bytes, answer: asyncio.Future[CommandReply]) -> None:
        self._on_the_way += 1
        asyncio.get_running_loop().call_later(after_s, self._queue.put_nowait, (raw, answer))

    async def serve(self, handler: Handler) -> None:
        working: dict[asyncio.Task[None], None] = {}  # no set: they would be cancelled in the order of their addresses
        try:
            while True:
                while len(working) >= _AT_ONCE:
                    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                raw, answer = await self._queue.get()
                task = asyncio.create_task(self._handle(raw, answer, handler))
                working[task] = None
                task.add_done_callback(lambda done: self._handled(done, working))
        finally:
            for task in list(working):
                task.cancel()

    def _handled(self, done: asyncio.Task[None], working: dict[asyncio.Task[None], None]) -> None:
        working.pop(done, None)
        self._on_the_way -= 1

    async def _handle(self, raw: bytes, answer: asyncio.Future[CommandReply], handler: Handler) -> None:
        acknowledged = False
        try:
            reply = await handler(parse_command(raw))
            acknowledged = True
            if not answer.done() and not self._fates.strikes("answer_lost"):
                answer.set_result(reply)
        except StigmergyError as error:
            if not error.retryable:
                raise
            acknowledged = True
            self._again(1.0, raw, answer)
        finally:
            if not acknowledged:
                self._again(_ACK_WAIT_S, raw, answer)


class Air:
    """Signals for all; each client hears through :class:`Ears` that can be closed."""

    def __init__(self, fates: Fates) -> None:
        self.fates = fates
        self.ears: dict[Ears, None] = {}


class Ears:
    """One client's signals; some are lost, late, or come twice."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._listeners: list[tuple[str, Listener]] = []
        air.ears[self] = None

    @property
    def connected(self) -> bool:
        return True

    async def send(self, subject: str, payload: bytes) -> None:
        fates = self._air.fates
        for ears in list(self._air.ears):
            if fates.strikes("signal_lost"):
                continue
            if fates.strikes("signal_late"):
                late = fates.size("signal_late", 0.1, 6.0)
                asyncio.get_running_loop().call_later(late, ears.hear, subject, payload)
                continue
            for _ in range(2 if fates.strikes("signal_doubled") else 1):
                ears.hear(subject, payload)

    async def listen(self, pattern: str, listener: Listener) -> None:
        self._listeners.append((pattern, listener))

    def hear(self, subject: str, payload: bytes) -> None:
        if self in self._air.ears:
            for pattern, listener in self._listeners:
                if matches(subject, pattern):
                    listener(payload)

    def close(self) -> None:
        self._air.ears.pop(self, None)
