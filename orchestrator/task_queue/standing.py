"""The stops in force, for a task-queue manager: read from the log, heard before they are there, said to workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from events.port import Log, Window
from events.signals import Signals
from orchestrator.stopping import STOP_EVENTS
from schemas.errors import StigmergyError
from schemas.signals import STANDING, STOPS, Standing, Stop
from schemas.stops import StopRecord, Stops

_log = logging.getLogger(__name__)
_SAY_AGAIN_S = 1.0
_REMEMBERED = 50
_encoder = msgspec.json.Encoder()
_stops = msgspec.json.Decoder(Stop)


class StandingStops:
    """What may not be dispatched. Use :meth:`load`, then :meth:`follow` for ever.

    Args:
        changed: called when a stop was lifted, or came.
        trips: the missions that this manager holds, which workers are told as well.
        monotonic: seconds, for how long a stop that was only heard of holds.
    """

    def __init__(
        self,
        log: Log,
        signals: Signals,
        changed: Callable[[], None],
        trips: Callable[[], tuple[Stop, ...]] = lambda: (),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._signals = signals
        self._changed = changed
        self._trips = trips
        self._let_go: tuple[str, ...] = ()
        self._monotonic = monotonic
        self._record = StopRecord()
        self._stops = Stops()
        self._position = 0

    def holds(self, tenant: str, mission: str) -> Stop | None:
        """The stop that forbids anything to begin in a mission; workers keep those that name them or their agents."""
        return self._stops.covering(tenant, mission, self._monotonic())

    def in_force(self) -> tuple[Stop, ...]:
        """All that hold now."""
        return self._stops.in_force(self._monotonic())

    def let_go(self, trip: str) -> None:
        """A mission that was held goes on: whoever only heard of its trip hears the same of this."""
        self._let_go = (*self._let_go, trip)[-_REMEMBERED:]
        self._stops.adopt(self._standing())

    async def load(self) -> None:
        """Read the stops on record, and listen from now on. Nothing may be dispatched before."""
        await self._signals.listen(STOPS, self._hear)
        self._position = await self._log.last_sequence()
        async for event in self._log.read(Window((STOP_EVENTS,), last=self._position)):
            self._record.take(event)
        self._stops.adopt(self._standing())

    async def follow(self) -> None:
        """Keep up with the log, and say once a second what is in force: who missed a word hears the next."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_on())
            group.create_task(self._repeat())

    async def _read_on(self) -> None:
        async for batch in self._log.follow(Window((STOP_EVENTS,), first=self._position + 1)):
            taken = [self._record.take(event) for event in batch.events]  # all of them, also behind one about stops
            if any(taken):
                self._stops.adopt(self._standing())
                self._changed()
                await self.say()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_SAY_AGAIN_S)
            if self._record.sequence or self._trips() or self._let_go:  # else nothing was ever stopped: nothing to say
                await self.say()

    def _standing(self) -> Standing:
        standing = self._record.standing()
        return replace(standing, lifted=(*standing.lifted, *self._let_go), trips=self._trips())

    async def say(self) -> None:
        """Say what is in force, now."""
        try:
            await self._signals.send(STANDING, _encoder.encode(self._standing()))
        except StigmergyError as error:
            _log.warning("the stops in force could not be said: %s", error)

    def _hear(self, raw: bytes) -> None:
        try:
            stop = _stops.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a stop: %s", error)
            return
        self._stops.hear(stop, self._monotonic())
