"""What a task-queue manager tells workers to stop, at once, past all queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec

from events.signals import Signals
from orchestrator.core.facts import Fact
from orchestrator.task_queue.floor import Floor
from orchestrator.task_queue.rules import superseded
from orchestrator.task_queue.safety import Guard
from orchestrator.task_queue.situation import Situation
from orchestrator.task_queue.spending import held
from orchestrator.task_queue.standing import StandingStops
from schemas.events.mission import MissionCancelled, MissionReopened, MissionResumed
from schemas.events.task import TaskCancelled
from schemas.events.world import WorldTripped
from schemas.signals import Stop, reflex_subject

_encoder = msgspec.json.Encoder()


class Reflexes:
    """Tells workers of what is read.

    Args:
        stops: what is in force; repeats which missions are held, for those who missed a word.
        floors: of the missions at hand.
    """

    def __init__(
        self, signals: Signals, stops: StandingStops, situation: Situation, floors: Callable[[], Iterable[Floor]]
    ) -> None:
        self._signals = signals
        self._stops = stops
        self._situation = situation
        self._floors = floors
        self._sending: set[asyncio.Task[None]] = set()

    def read(self, floor: Floor, fact: Fact) -> None:
        """Tell what a fresh fact stops, or lets go on; the floor is that before it."""
        match fact.payload:
            case TaskCancelled() as event:
                # Only the attempts that there were: read late, it must not hit those of a mission that was reopened.
                if attempt := floor.newest.get(event.task, 0):
                    self._stop(Stop(floor.tenant, floor.mission, event.task, attempt, event.reason))
            case WorldTripped() as event:
                if (guard := held(floor.guard, event, fact.id)).tripped:
                    self._stop(trip_of(floor, guard))
            case MissionResumed() | MissionReopened() if floor.guard.trip:
                self._stops.let_go(floor.guard.trip)
                self._in_time(self._stops.say())
            case MissionCancelled():  # of one that failed, the tasks were cancelled one by one
                self._stop(Stop(floor.tenant, floor.mission, reason="the mission has ended"))

    def stop_strays(self) -> None:
        """Tell workers to stop what no longer counts; said again for as long as it is seen running."""
        at_hand = {(floor.tenant, floor.mission): floor for floor in self._floors()}
        for worker, running in self._situation.running():
            floor = at_hand.get((running.tenant, running.mission))
            if floor is not None and floor.guard.tripped:
                self._stop(trip_of(floor, floor.guard))
            elif floor is not None and superseded(floor, running, worker):
                stop = Stop(running.tenant, running.mission, running.task, running.attempt, "it no longer counts")
                self._stop(stop)

    def _stop(self, stop: Stop) -> None:
        self._in_time(self._signals.send(reflex_subject(stop), _encoder.encode(stop)))

    def _in_time(self, saying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(saying)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def trip_of(floor: Floor, guard: Guard) -> Stop:
    """The stop that a trip is, of this mission."""
    return Stop(floor.tenant, floor.mission, reason=guard.tripped, id=guard.trip, forgiven=True, trip=True)


def trips_of(floors: Iterable[Floor]) -> tuple[Stop, ...]:
    """The stops that are in force because of trips."""
    return tuple(trip_of(floor, floor.guard) for floor in floors if floor.guard.tripped and not floor.ended)
