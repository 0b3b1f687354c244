"""The bus of one worker process: NATS lives in a thread with an event loop, agents live in ordinary threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

from nats.aio.client import Client

from events.codec import frames
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect
from events.jetstream.quick_client import QuickClient
from events.peers import Hear, NatsWire
from events.port import Ack, Window, Write
from events.signals import NatsSignals
from schemas.envelope import Event
from schemas.errors import LogUnavailable, StigmergyError

_log = logging.getLogger(__name__)
_DEADLINE_S = 60.0
_LINGER_S = 0.02
_MOST_POSTED = 10_000


class WorkerBus:
    """Connects when it is made. Everything a thread asks for is done in order by one loop.

    Args:
        nats_url: where NATS is.
        name: shown beside the connection.

    Raises:
        LogUnavailable: NATS does not answer.
    """

    def __init__(self, nats_url: str, name: str) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bus", daemon=True)
        self._thread.start()
        self._posted: list[Event] = []
        self._lingering: asyncio.TimerHandle | None = None
        self._in_order = asyncio.Lock()
        self._awaited: dict[Future[Any], asyncio.Task[Any]] = {}
        self._quick: QuickClient | None = None
        self._nc: Client = self._wait(connect(nats_url, name=name))
        self._quick = self._nc if isinstance(self._nc, QuickClient) else None
        self._log: JetStreamLog = self._wait(JetStreamLog.open(self._nc))
        self._signals = NatsSignals(self._nc)
        self._wire = NatsWire(self._nc)
        self._pulses: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[None]] = set()

    def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        return self._wait(self._after_posted(self._log.write(writes)))

    def append(self, events: Sequence[Event]) -> None:
        self._wait(self._append_after_posted(events))

    def post(self, event: Event, *, hurry: bool = False) -> None:
        self._loop.call_soon_threadsafe(self._take, event, hurry)

    def read(self, filters: tuple[str, ...]) -> list[Event]:
        async def collect() -> list[Event]:
            return [event async for event in self._log.read(Window(filters))]

        return self._wait(self._after_posted(collect()))

    def put_blob(self, data: bytes) -> str:
        """Store content that all machines share."""
        return self._wait(self._log.blobs.put(data))

    def get_blob(self, digest: str) -> bytes:
        """Fetch content. Raises :class:`~events.blobs.port.BlobMissing`."""
        return self._wait(self._log.blobs.get(digest))

    def has_blob(self, digest: str) -> bool:
        return self._wait(self._log.blobs.has(digest))

    def listen(self, pattern: str, listener: Callable[[bytes], None]) -> None:
        """Call ``listener`` in the bus's thread for every signal; it must be quick."""
        self._wait(self._signals.listen(pattern, listener))

    def send(self, subject: str, payload: bytes) -> None:
        """Send a signal from any thread, the bus's own included, without waiting."""
        self._loop.call_soon_threadsafe(self._send, subject, payload)

    def say(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send a message to a worker from any thread, without waiting."""
        self._loop.call_soon_threadsafe(self._spawn, lambda: self._wire.send(subject, payload, reply))

    def hear(self, pattern: str, hear: Hear, queue: str = "") -> None:
        """Call ``hear`` in the bus's thread for every message to workers that matches; it must be quick."""
        self._wait(self._wire.listen(pattern, hear, queue))

    def _send(self, subject: str, payload: bytes) -> None:
        self._spawn(lambda: self._signals.send(subject, payload))

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(work())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def pulse(self, subject: str, payload: Callable[[], bytes], every_s: float) -> Callable[[], None]:
        """Send a signal again and again; returns a function that sends one at once."""

        async def beat() -> None:
            while True:
                await self._signals.send(subject, payload())
                await asyncio.sleep(every_s)

        def now() -> None:
            asyncio.run_coroutine_threadsafe(self._signals.send(subject, payload()), self._loop)

        async def begin() -> None:
            self._pulses.append(asyncio.get_running_loop().create_task(beat()))

        self._wait(begin())
        return now

    def close(self) -> None:
        """Write what was posted, then let go."""

        async def end() -> None:
            for pulse in self._pulses:
                pulse.cancel()
            await self._after_posted(asyncio.sleep(0))
            await self._log.close()

        self._wait(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        answer = Future[T]()
        self._loop.call_soon_threadsafe(self._begin, work, answer)
        try:
            return answer.result(_DEADLINE_S)
        except TimeoutError:
            self._loop.call_soon_threadsafe(self._give_up, answer)
            raise LogUnavailable(
                f"the event log did not answer within {_DEADLINE_S:g} s", hint="is the NATS server running?"
            ) from None

    # in the loop's thread

    def _begin[T](self, work: Coroutine[Any, Any, T], answer: Future[T]) -> None:
        """Do something that another thread waits for, as far as it goes at once, and let go what it has sent: turns of
        the loop that nothing else needs are a fiftieth of a step of a chain."""
        task = asyncio.Task(work, loop=self._loop, eager_start=True)
        self._awaited[answer] = task
        task.add_done_callback(partial(self._answer, answer))
        if self._quick is not None:
            self._quick.write_out()

    def _give_up(self, answer: Future[Any]) -> None:
        if (task := self._awaited.get(answer)) is not None:
            task.cancel()

    def _answer[T](self, answer: Future[T], task: asyncio.Task[T]) -> None:
        del self._awaited[answer]
        if task.cancelled():
            answer.set_exception(CancelledError())
        elif (error := task.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def _take(self, event: Event, hurry: bool) -> None:
        if len(self._posted) >= _MOST_POSTED:
            _log.error("the log is away and %d steps wait already; dropped %s", _MOST_POSTED, event.type)
            return
        self._posted.append(event)
        if hurry:
            self._spawn(self._flush)
        elif self._lingering is None:
            self._lingering = self._loop.call_later(_LINGER_S, self._lingered)

    def _lingered(self) -> None:
        self._lingering = None
        if self._posted:
            self._spawn(self._flush)

    async def _flush(self) -> None:
        """Return once everything that was posted until now is on the log, or refused."""
        async with self._in_order:
            while self._posted:
                events, self._posted = self._posted, []
                try:
                    await self._append(events)
                except StigmergyError as error:
                    _log.error("%d steps of attempts could not be recorded: %s", len(events), error)

    async def _after_posted[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` once everything that was posted before it is on the log."""
        if self._posted or self._in_order.locked():
            await self._flush()
        return await work

    async def _append_after_posted(self, events: Sequence[Event]) -> None:
        """Append events once everything that was posted before is on the log; together with it, in one message, where
        that is possible."""
        posted = self._posted
        if not posted or self._in_order.locked() or len(frames([*posted, *events])) > 1:
            await self._after_posted(self._append(events))
            return
        self._posted = []
        try:
            await self._append([*posted, *events])
        except StigmergyError as error:
            if error.retryable:
                raise
            self._posted = [*posted, *self._posted]  # what was refused of the one need not be refused of the other
            await self._after_posted(self._append(events))

    async def _append(self, events: Sequence[Event]) -> None:
        for result in await self._log.write([Write(frame) for frame in frames(events)]):
            if isinstance(result, StigmergyError):
                raise result


class BusBlobs:
    """The blob store of the bus, for the workspace store: see :class:`workers.workspaces.Blobs`."""

    def __init__(self, bus: WorkerBus) -> None:
        self._bus = bus

    def put(self, data: bytes) -> str:
        return self._bus.put_blob(data)

    def get(self, digest: str) -> bytes:
        return self._bus.get_blob(digest)

    def has(self, digest: str) -> bool:
        return self._bus.has_blob(digest)
