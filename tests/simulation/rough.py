"""A bus that misbehaves as much as a sound one may: slow, away for a moment, deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from random import Random

from events.commands import Handler, MemoryCommands
from events.memory import MemoryLog, matches
from events.port import Ack, Batch, Guard, Window, Write
from events.signals import Listener
from schemas.commands import parse_command
from schemas.envelope import Event
from schemas.errors import LogUnavailable, StigmergyError


class RoughLog(MemoryLog):
    """One client's view of a log: every call takes a while, and some fail before or after the log has taken them."""

    def __init__(self, inner: MemoryLog, rng: Random, trouble: float) -> None:
        super().__init__()
        self._inner, self._rng, self._trouble = inner, rng, trouble

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        await self._wait()
        return await self._inner.write(writes)

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        await self._wait()
        if self._rng.random() < self._trouble:
            raise LogUnavailable("the log is away")
        last = await self._inner.append(events, guard=guard)
        await self._wait()
        if self._rng.random() < self._trouble:
            raise LogUnavailable("nobody knows whether the log has taken it")
        return last

    async def follow(self, window: Window, *, batch: int = 500) -> AsyncIterator[Batch]:
        async for each in self._inner.follow(window, batch=batch):
            await self._wait()
            yield each

    async def read(self, window: Window) -> AsyncIterator[Event]:
        async for event in self._inner.read(window):
            if self._rng.random() < 0.1:
                await self._wait()
            yield event

    async def oldest(self) -> tuple[int, datetime | None]:
        await self._wait()
        return await self._inner.oldest()

    async def last_sequence(self) -> int:
        await self._wait()
        return await self._inner.last_sequence()

    async def missions(self, types: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        await self._wait()
        return await self._inner.missions(types)

    async def _wait(self) -> None:
        await asyncio.sleep(self._rng.random() * self._rng.choice((0.001, 0.02)))


class RoughCommands(MemoryCommands):
    """Commands that come again when whoever had them could not carry them out, or died over them."""

    async def serve(self, handler: Handler) -> None:
        while True:
            raw, answer = await self._queue.get()
            try:
                reply = await handler(parse_command(raw))
            except asyncio.CancelledError:
                self._queue.put_nowait((raw, answer))
                raise
            except StigmergyError as error:
                if not error.retryable:
                    raise
                asyncio.get_running_loop().call_later(1.0, self._queue.put_nowait, (raw, answer))
                continue
            if not answer.done():
                answer.set_result(reply)


class Air:
    """Signals for all; each client hears through :class:`Ears` that can be closed."""

    def __init__(self, rng: Random, loss: float) -> None:
        self.rng, self.loss = rng, loss
        self.ears: set[Ears] = set()


class Ears:
    """One client's signals; some are lost."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._listeners: list[tuple[str, Listener]] = []
        air.ears.add(self)

    async def send(self, subject: str, payload: bytes) -> None:
        for ears in list(self._air.ears):
            if self._air.rng.random() >= self._air.loss:
                ears.hear(subject, payload)

    async def listen(self, pattern: str, listener: Listener) -> None:
        self._listeners.append((pattern, listener))

    def hear(self, subject: str, payload: bytes) -> None:
        for pattern, listener in self._listeners:
            if matches(subject, pattern):
                listener(payload)

    def close(self) -> None:
        self._air.ears.discard(self)
