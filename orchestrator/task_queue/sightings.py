"""How long this manager has known an open attempt at its stage, by its own monotonic clock.

The instants on the log are those of other machines' calendars: a worker's for the begin of an attempt, an
orchestrator's or another manager's for what came before. Clocks of machines differ, by an hour where a time zone is
wrong, and jump when they are set right. So no lease is judged by the difference of two calendars; what counts is the
time since this manager has seen the fact. A manager that has just come begins to count anew, which can only make it
more patient.

Roads not taken: the instants that JetStream stamps on messages are of one clock, but that clock is another machine's,
and another server's after an election. Instants that workers measure on their own monotonic clock ("running for 12 s")
would be right, and come with heartbeats, of which the worker in question may send none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage

type _Key = tuple[str, str, str, int]
_FORGET_S = 60.0


@dataclass(slots=True)
class _Seen:
    stage: Stage
    since: float
    asked_at: float
    first: float


class Sightings:
    """When each open attempt was first seen at the stage that it is at.

    Args:
        monotonic: seconds that only ever grow.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[_Key, _Seen] = {}

    def age_s(self, floor: Floor, opened: OpenAttempt) -> float:
        """Seconds since the attempt was first looked at here at its present stage; 0 the first time."""
        seen = self._look(floor, opened)
        return seen.asked_at - seen.since

    def known_s(self, floor: Floor, opened: OpenAttempt) -> float:
        """Seconds since the attempt was first looked at here, at whatever stage; 0 the first time."""
        seen = self._look(floor, opened)
        return seen.asked_at - seen.first

    def _look(self, floor: Floor, opened: OpenAttempt) -> _Seen:
        now = self._monotonic()
        key = (floor.tenant, floor.mission, opened.ready.task, opened.ready.attempt)
        seen = self._seen.get(key)
        if seen is None or seen.stage is not opened.stage:
            seen = self._seen[key] = _Seen(opened.stage, now, now, seen.first if seen is not None else now)
        seen.asked_at = now
        return seen

    def forget(self) -> None:
        """Drop what nobody has asked for in a minute: open attempts are asked for all the time."""
        before = self._monotonic() - _FORGET_S
        for key in [key for key, seen in self._seen.items() if seen.asked_at < before]:
            del self._seen[key]
