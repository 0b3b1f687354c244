"""Stops in force: what may not be worked on until somebody lifts the stop. For those who send work, and who do it.

A stop is heard at once, over core NATS, and recorded a moment later. What was only heard holds for some seconds; in
that time it is either seen among the recorded ones, or it was never granted.
"""

from __future__ import annotations

from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events import parse
from schemas.events.reflex import ReflexResumed, ReflexStopped
from schemas.signals import Standing, Stop

HEARD_S = 8.0
_REMEMBERED = 50


class StopRecord:
    """The stops in force by the log: a fold of the events of the noun ``reflex``."""

    def __init__(self) -> None:
        self.stops: dict[str, Stop] = {}
        self.lifted: tuple[str, ...] = ()
        self.sequence = 0
        self.asked: set[str] = set()

    def take(self, event: Event) -> bool:
        """One more event of the log; what this release cannot read changes nothing. Whether it was about stops."""
        try:
            payload = parse(event)
        except InvalidEvent:
            return False
        if not isinstance(payload, ReflexStopped | ReflexResumed):
            return False
        self.asked.add(event.causationid or "")
        self.fold(payload, event.sequence)
        return True

    def fold(self, payload: ReflexStopped | ReflexResumed, sequence: int) -> None:
        """One more event."""
        self.sequence = max(self.sequence, sequence)
        if isinstance(payload, ReflexResumed):
            for name in payload.lifts:
                self.stops.pop(name, None)
            self.lifted = (*self.lifted, *payload.lifts)[-_REMEMBERED:]
        elif payload.stop not in self.lifted:
            self.stops[payload.stop] = stop_of(payload)

    def standing(self) -> Standing:
        """As it is said to everybody."""
        return Standing(self.sequence, tuple(self.stops.values()), self.lifted)


class Stops:
    """The stops in force as one process knows them: those of the log, and those it has only heard of."""

    def __init__(self) -> None:
        self._standing = Standing()
        self._heard: dict[str, tuple[Stop, float]] = {}

    def hear(self, stop: Stop, now: float) -> None:
        """Take in a stop that may not be recorded yet; ``now`` in monotonic seconds."""
        if stop.id and stop.id not in self._standing.lifted:
            self._heard[stop.id] = stop, now

    def adopt(self, standing: Standing) -> bool:
        """Take over what is in force by the log. Of an older word only what was lifted: that stays lifted. Whether
        anything is new."""
        changed = False
        for name in standing.lifted:
            changed |= self._heard.pop(name, None) is not None
        if standing.sequence < self._standing.sequence:
            return changed
        changed |= standing.stops != self._standing.stops
        self._standing = standing
        for stop in standing.stops:
            changed |= self._heard.pop(stop.id, None) is not None
        return changed

    def in_force(self, now: float) -> tuple[Stop, ...]:
        """All that hold now."""
        if not self._heard:
            return self._standing.stops
        self._heard = {name: heard for name, heard in self._heard.items() if now - heard[1] < HEARD_S}
        return (*self._standing.stops, *(stop for stop, _ in self._heard.values()))

    def covering(self, tenant: str, mission: str, now: float, *, worker: str = "", agent: str = "") -> Stop | None:
        """A stop that forbids this mission to this worker and agent; None if it may go on."""
        for stop in self.in_force(now):
            if stop.covers(tenant, mission, worker=worker, agent=agent):
                return stop
        return None


def stop_of(event: ReflexStopped) -> Stop:
    """The stop that an event records."""
    return Stop(
        tenant=event.tenant,
        mission=event.mission,
        reason=event.reason,
        worker=event.worker,
        agent=event.agent,
        id=event.stop,
        forgiven=True,
    )
