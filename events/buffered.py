"""Publishing at volume: events are taken one by one and travel in frames.

Nothing is doubled by retries: a message that is sent again has the same id. A frame's id is a digest of the ids in it,
so that a frame which is cut otherwise, by a program that was started again, is never taken for another and lost. But
then its events would be stored twice: who publishes the same events again gives ``known``, which skips what is there.

The order of a noun of a mission is kept even where a connection breaks, because one frame of it is on its way at a
time; meanwhile the next one fills. Chains of guards were not taken: they would let nobody else write the noun.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from events.codec import FRAME_BYTES, FRAME_EVENTS
from events.lanes import WEIGHT, Frame, Lane, Lanes
from events.port import Ack, Log
from events.recent import Recent
from schemas.envelope import Event
from schemas.errors import Cancelled, PayloadTooLarge, StigmergyError, Unavailable

_ROUNDS = 4
_ROUND_FRAMES = 250
_ROUND_BYTES = 2 * 1024 * 1024
_GRACE_S = 1.0
_SHOWN = 100

OnFailure = Callable[[Event, StigmergyError], None]


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What became of the events that were taken.

    Attributes:
        acknowledged: events that the log has.
        duplicates: those of them that it had already: from a try whose answer was lost, or from an earlier program.
        failed: events that it does not have, or of which nobody knows (:class:`LogUnavailable`, :class:`Cancelled`).
        failures: id and error of the first hundred of these.
    """

    acknowledged: int = 0
    duplicates: int = 0
    failed: int = 0
    failures: tuple[tuple[str, StigmergyError], ...] = ()


class BufferedPublisher:
    """Takes events, sends them in frames, says what became of each.

    ::

        async with BufferedPublisher(log) as publisher:
            for event in events:
                await publisher.publish(event)
        print(publisher.report)

    Leaving the block flushes. If it is left because its task was cancelled, flushing has a second, and what was not
    acknowledged by then has failed with :class:`Cancelled`. If the log stays away longer than it is waited for
    (30 s on JetStream), everything that waits has failed; what is taken later is tried again.

    Args:
        linger_s: how long an event waits for others; None: until its frame is full, or is flushed, or room is needed.
        frame_events: most events of a frame.
        frame_bytes: most bytes of a frame, about.
        max_waiting: how many events may wait for their acknowledgement before ``publish`` has to wait.
        max_bytes: how many bytes of them, about.
        on_failure: called once for each event that failed. It must not raise.
        check: called with each event first; what it raises comes out of ``publish``, and the event is not taken.
        known: what need not be published again; such events count as acknowledged duplicates.
    """

    def __init__(
        self,
        log: Log,
        *,
        linger_s: float | None = 0.01,
        frame_events: int = FRAME_EVENTS,
        frame_bytes: int = FRAME_BYTES,
        max_waiting: int = 50_000,
        max_bytes: int = 64 * 1024 * 1024,
        on_failure: OnFailure | None = None,
        check: Callable[[Event], object] | None = None,
        known: Recent | None = None,
    ) -> None:
        self._log = log
        self._linger_s, self._frame_bytes = linger_s, frame_bytes
        self._max_waiting, self._max_bytes = max_waiting, max_bytes
        self._on_failure, self._check, self._known = on_failure, check, known
        self._waiting = self._bytes = self._acknowledged = self._duplicates = self._failed = 0
        self._failures: list[tuple[str, StigmergyError]] = []
        self._lanes = Lanes(frame_events)
        self._filling: dict[Lane, None] = {}
        self._queue: deque[Lane] = deque()
        self._rounds: dict[asyncio.Task[list[Ack | StigmergyError]], list[Frame]] = {}
        self._generation = 0
        self._unsettled: Counter[int] = Counter()
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._closed = self._due = False

    @property
    def report(self) -> PublishReport:
        """What is known by now."""
        return PublishReport(self._acknowledged, self._duplicates, self._failed, tuple(self._failures))

    @property
    def waiting(self) -> int:
        """Events that were taken and are neither acknowledged nor failed."""
        return self._waiting

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        hurry = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S if hurry else None):
                    await self.flush()
        finally:
            await self._abandon()

    async def publish(self, event: Event) -> None:
        """Take an event; waits only while the buffer is full. If it raises or is cancelled, the event was not taken.

        Raises:
            InvalidEvent, InvalidIdentifier: its type, tenant or mission cannot be a subject.
            InvalidInput: its type is keyed: such events are written one by one, with ``Log.write``.
            LogUnavailable: there is ``known``, and the log cannot be read.
        """
        if self._check is not None:
            self._check(event)
        await self._room()
        if self._known is None:
            self._take(event)
        elif await self._known.seen(event):
            self._acknowledged += 1
            self._duplicates += 1
        else:
            try:
                self._take(event)
            except StigmergyError:
                self._known.forget(event)
                raise

    async def publish_many(self, events: Iterable[Event]) -> None:
        """Take events in order. If one is refused, as in :meth:`publish`, those before it were taken."""
        plain = self._check is None and self._known is None
        for event in events:
            if plain and not (self._due or self._waiting >= self._max_waiting or self._bytes >= self._max_bytes):
                self._take(event)
            else:
                await self.publish(event)

    async def flush(self) -> PublishReport:
        """Wait until every event taken before is acknowledged or failed."""
        self._cut_all()
        mine, self._generation = self._generation, self._generation + 1
        while any(generation <= mine for generation in self._unsettled):
            await self._news.wait()
        return self.report

    # taking

    async def _room(self) -> None:
        if self._due:
            self._due = False
            await asyncio.sleep(0)  # a frame is ready: a caller that never waits would not let it go
        while (self._waiting >= self._max_waiting or self._bytes >= self._max_bytes) and not self._closed:
            self._cut_all()
            await self._news.wait()

    def _take(self, event: Event) -> None:
        if self._closed:
            raise StigmergyError("the publisher is closed", hint="publish inside its `async with` block")
        lane = self._lanes.known.get((event.tenant, event.mission, event.type)) or self._lanes.of(event)
        weight = len(event.data) + WEIGHT
        if lane.weight + weight > self._frame_bytes:
            self._cut(lane)
        if not lane.open:
            self._filling[lane] = None
            if self._timer is None and self._linger_s is not None:
                self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._lingered)
        lane.open.append(event)
        lane.weight += weight
        self._waiting += 1
        self._bytes += weight
        if len(lane.open) >= lane.most:
            self._cut(lane)
            self._due = True

    # cutting

    def _lingered(self) -> None:
        """A lane whose frame is on its way goes on filling; it is cut when that one has arrived."""
        self._timer = None
        for lane in [lane for lane in self._filling if not lane.busy]:
            self._cut(lane)

    def _cut_all(self) -> None:
        for lane in list(self._filling):
            self._cut(lane)

    def _cut(self, lane: Lane) -> None:
        self._filling.pop(lane, None)
        if lane.cut(self._generation) is not None:
            self._unsettled[self._generation] += 1
            if not lane.busy:
                self._enqueue(lane)

    def _enqueue(self, lane: Lane) -> None:
        lane.busy = True
        self._queue.append(lane)
        if self._soon is None:  # what becomes ready together is sent together
            self._soon = asyncio.get_running_loop().call_soon(self._send)

    # sending

    def _send(self) -> None:
        self._soon = None
        while self._queue and len(self._rounds) < _ROUNDS:
            frames: list[Frame] = []
            weight = 0
            while self._queue and len(frames) < _ROUND_FRAMES and weight < _ROUND_BYTES:
                frames.append(self._queue.popleft().ready.popleft())
                weight += frames[-1].weight
            # From here on the events are safe from cancellation of whoever published them.
            task = asyncio.ensure_future(self._log.write([frame.write() for frame in frames]))
            self._rounds[task] = frames
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[list[Ack | StigmergyError]]) -> None:
        frames = self._rounds.pop(task)
        lost: StigmergyError | None = None
        for frame, result in zip(frames, _results(task, len(frames)), strict=True):
            frame.lane.busy = False
            self._settle(frame, result)
            lost = result if isinstance(result, Unavailable) else lost
        if lost is not None:
            self._give_up(lost)
        for lane in [frame.lane for frame in frames]:
            if lane.ready:
                self._enqueue(lane)
            elif self._linger_s is not None:
                self._cut(lane)
        if self._queue and self._soon is None:
            self._send()
        self._tell()

    def _settle(self, frame: Frame, result: Ack | StigmergyError) -> None:
        if isinstance(result, PayloadTooLarge) and len(frame.events) > 1:
            frame.lane.ready.extendleft(reversed(frame.halves()))
            self._unsettled[frame.generation] += 1
        elif isinstance(result, StigmergyError):
            self._fail(frame, result)
        else:
            self._acknowledged += len(frame.events)
            self._duplicates += len(frame.events) if result.duplicate else 0
            self._finish(frame)

    def _finish(self, frame: Frame) -> None:
        self._waiting -= len(frame.events)
        self._bytes -= frame.weight
        self._unsettled[frame.generation] -= 1
        if not self._unsettled[frame.generation]:
            del self._unsettled[frame.generation]

    def _fail(self, frame: Frame, error: StigmergyError) -> None:
        self._finish(frame)
        self._failed += len(frame.events)
        for event in frame.events:
            if len(self._failures) < _SHOWN:
                self._failures.append((event.id, error))
            if self._known is not None:
                self._known.forget(event)
            if self._on_failure is not None:
                self._on_failure(event, error)

    def _give_up(self, error: StigmergyError) -> None:
        """Everything that waits has failed. Else a hundred frames would wait 30 s each for a log that is away."""
        self._cut_all()
        for lane in self._queue:
            lane.busy = False
        self._queue.clear()
        for lane in self._lanes.all():
            while lane.ready:
                self._fail(lane.ready.popleft(), error)

    async def _abandon(self) -> None:
        """Nothing is left behind: neither an event without an answer nor a task."""
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = None
        if self._waiting:
            self._give_up(_cancelled())
            tasks = list(self._rounds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # _arrived was called for each by then
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits for room or for the end; who comes later waits for the next."""
        self._news.set()
        self._news = asyncio.Event()


def _results(task: asyncio.Task[list[Ack | StigmergyError]], many: int) -> list[Ack | StigmergyError]:
    if task.cancelled():
        return [_cancelled()] * many
    error = task.exception()
    if error is None:
        return task.result()
    known = error if isinstance(error, StigmergyError) else StigmergyError(f"publishing failed: {error!r}")
    return [known] * many


def _cancelled() -> Cancelled:
    return Cancelled(
        "the publisher was closed before the log had acknowledged the event",
        hint="the log may have it: publish it again with `known`, which skips what is there",
    )
