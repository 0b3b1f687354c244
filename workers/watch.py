"""Watching over what a worker has in hand: heartbeats say what runs, and what should not run is stopped."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from schemas.errors import Overdrawn, Stopped
from schemas.signals import Acknowledgement, Running, Standing, Stop
from schemas.stops import Stops
from workers.stopping import AttemptStopped, StopFlag, interrupt

_log = logging.getLogger(__name__)
_TICK_S = 0.05
_PATIENCE_S = 1.0
_LAST_RESORT_S = 4.0
_REFLEX_PATIENCE_S = 0.3
_REFLEX_LAST_RESORT_S = 2.0
_HOLD_S = 2.0
_HOLD_TRIP_S = 0.1
_LOOK_S = 0.02
EXIT_STUCK = 75
_stops = msgspec.json.Decoder(Stop)
_standing = msgspec.json.Decoder(Standing)
type Acknowledge = Callable[[str, Acknowledgement], None]


class Watch:
    """What one worker process has in hand, seen from its other threads.

    An attempt that is to stop is told by its flag. If it goes on for a second, an exception is raised inside it; if
    that does not end it either, and the process is ours alone, the process ends: the lease gives the task to another.
    An emergency stop has less patience, and so has a limit of memory or processor time. While one is in force, what it
    covers is not begun.

    Args:
        may_exit: whether the process may be ended as a last resort.
        worker: whose watch it is; stops may name a worker.
        acknowledge: told of every emergency stop that was heard, and of the end of what it stopped; called from any
            thread, it must be quick.
        began: told of the deadline of each attempt before its agent has a turn; in its thread.
    """

    def __init__(
        self,
        *,
        may_exit: bool,
        worker: str = "",
        acknowledge: Acknowledge = lambda _, __: None,
        began: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._may_exit = may_exit
        self._worker = worker
        self._acknowledge = acknowledge
        self._began = began
        self._lock = threading.Lock()
        self._stops = Stops()
        self._held: dict[Running, str] = {}
        self._stopped: dict[Running, Stop] = {}
        self._current: tuple[Running, StopFlag, int, float, float] | None = None
        self._overdrawn: Callable[[], Overdrawn | None] = lambda: None
        self._told_at: float | None = None
        self._interrupted = False
        threading.Thread(target=self._tick, name="watch", daemon=True).start()

    def held(self) -> tuple[Running, ...]:
        """What is in hand now, for the heartbeat."""
        with self._lock:
            return tuple(self._held)

    @property
    def deadline(self) -> float | None:
        """The monotonic instant at which the attempt at work has to end; None if there is none."""
        with self._lock:
            return self._current[3] if self._current is not None else None

    @contextmanager
    def holding(self, attempts: Sequence[Running], agent: str = "") -> Iterator[None]:
        """Have these attempts in the hands of this agent for the time of the block."""
        self.hold(attempts, agent)
        try:
            yield
        finally:
            self.done(attempts)

    def hold(self, attempts: Sequence[Running], agent: str) -> None:
        """Have these in the hands of this agent until they are done."""
        with self._lock:
            self._held.update(dict.fromkeys(attempts, agent))
            for stop in self._stops.in_force(time.monotonic()):
                self._apply(stop)  # it came between the claim and here

    def done(self, attempts: Sequence[Running]) -> None:
        """Have these in hand no longer."""
        ended: dict[str, list[Running]] = {}
        with self._lock:
            for attempt in attempts:
                self._held.pop(attempt, None)
                stop = self._stopped.pop(attempt, None)
                if stop is not None and stop.id and not stop.trip:
                    ended.setdefault(stop.id, []).append(attempt)
        for name, those in ended.items():
            self._acknowledge(name, Acknowledgement(self._worker, tuple(those), ended=True))

    def may_begin(self, attempt: Running, agent: str) -> bool:
        """Whether no stop covers the attempt; waits a moment for one that does to be lifted.

        Not for long: what holds a message of Celery's holds up the end of the pool. Whoever sent it sends it again.
        Least for a mission that is held: the work of others may be in the same message, and behind it.
        """
        begun = time.monotonic()
        while True:
            now = time.monotonic()
            with self._lock:
                stop = self._stops.covering(attempt.tenant, attempt.mission, now, worker=self._worker, agent=agent)
            if stop is None:
                return True
            if now - begun >= (_HOLD_TRIP_S if stop.trip else _HOLD_S):
                return False
            time.sleep(_LOOK_S)

    def covers(self, tenant: str, mission: str, agent: str) -> bool:
        """Whether an emergency stop in force forbids this agent to begin anything for a mission."""
        with self._lock:
            stop = self._stops.covering(tenant, mission, time.monotonic(), worker=self._worker, agent=agent)
        return stop is not None

    def held_back(self, agents: Iterable[str]) -> set[str]:
        """Those of the agents that a stop in force names, or all of them if it names this worker."""
        with self._lock:
            stops = [s for s in self._stops.in_force(time.monotonic()) if (s.agent or s.worker) and not s.mission]
        return {a for a in agents if any(s.worker in ("", self._worker) and s.agent in ("", a) for s in stops)}

    def run(
        self,
        attempt: Running,
        flag: StopFlag,
        timeout_s: float,
        work: Callable[[], dict[str, Any]],
        overdrawn: Callable[[], Overdrawn | None] = lambda: None,
    ) -> dict[str, Any]:
        """Do ``work`` in this thread under watch. Raises what it raises, or :class:`AttemptStopped`.

        ``overdrawn`` says whether the attempt has used more than it may, and what.
        """
        with self._lock:
            self._overdrawn = overdrawn
            self._current = (attempt, flag, threading.get_ident(), time.monotonic() + timeout_s, timeout_s)
            self._told_at, self._interrupted = None, False
            if attempt in self._stopped:
                _tell(flag, self._stopped[attempt])
            deadline = self._current[3]
        self._began(deadline)
        try:
            flag.check()
            return work()
        finally:
            self._release()

    def _release(self) -> None:
        """End the watch. An interruption that is already on its way is waited for here, where it can do no harm."""
        with self._lock:
            interrupted = self._interrupted
            self._current = None
        if interrupted:
            try:
                time.sleep(0.01)
            except AttemptStopped:
                _log.debug("the attempt ended while it was being interrupted")

    def hear(self, raw: bytes) -> None:
        """Take in a stop signal."""
        try:
            stop = _stops.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a stop: %s", error)
            return
        with self._lock:
            self._stops.hear(stop, time.monotonic())
            stopping = self._apply(stop)
        if stop.id and not stop.trip:
            self._acknowledge(stop.id, Acknowledgement(self._worker, tuple(stopping)))

    def hear_standing(self, raw: bytes) -> None:
        """Take in which stops are in force by the log."""
        try:
            standing = _standing.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a word about stops: %s", error)
            return
        self.adopt(standing)

    def adopt(self, standing: Standing) -> None:
        """Take over the stops in force by the log; of trips, those that one manager knows of.

        A stop that was not heard of before is acknowledged: who joins while one is being asked for is counted, too.
        """
        with self._lock:
            now = time.monotonic()
            known = {stop.id for stop in self._stops.in_force(now)}
            self._stops.adopt(standing)
            for trip in standing.trips:
                self._stops.hear(trip, now)
            stopping = [(stop, tuple(self._apply(stop))) for stop in self._stops.in_force(now)]
        for stop, attempts in stopping:
            if stop.id not in known and not stop.trip:
                self._acknowledge(stop.id, Acknowledgement(self._worker, attempts))

    def _apply(self, stop: Stop) -> list[Running]:
        """Stop what it means of what is in hand; the caller holds the lock."""
        found = [a for a, agent in self._held.items() if stop.means(a, worker=self._worker, agent=agent)]
        for attempt in found:
            self._stopped.setdefault(attempt, stop)
            if self._current is not None and self._current[0] == attempt:
                _tell(self._current[1], stop)
        return found

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_S)
            with self._lock:
                if self._current is not None:
                    self._look(*self._current)

    def _look(self, attempt: Running, flag: StopFlag, thread: int, deadline: float, timeout_s: float) -> None:
        now = time.monotonic()
        if now > deadline and not flag.is_set():
            flag.time_out(timeout_s)
        if not flag.is_set() and (error := self._overdrawn()) is not None:
            flag.exceed(error)
        if not flag.is_set():
            return
        if self._told_at is None:
            self._told_at = now
            return
        reflex = isinstance(flag.error, Stopped | Overdrawn)  # who eats up the machine gets no patience either
        if not self._interrupted and now - self._told_at > (_REFLEX_PATIENCE_S if reflex else _PATIENCE_S):
            self._interrupted = True
            interrupt(thread)
        elif self._may_exit and now - self._told_at > (_REFLEX_LAST_RESORT_S if reflex else _LAST_RESORT_S):
            _log.error("attempt %s of %s does not stop; ending this process", attempt.attempt, attempt.task)
            os._exit(EXIT_STUCK)


def _tell(flag: StopFlag, stop: Stop) -> None:
    if stop.forgiven:
        flag.stop(stop.reason)
    else:
        flag.cancel(stop.reason)
