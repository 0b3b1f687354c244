"""Watching over what a worker has in hand: heartbeats say what runs, and what should not run is stopped."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from schemas.signals import Running, Stop
from workers.stopping import AttemptStopped, StopFlag, interrupt

_log = logging.getLogger(__name__)
_TICK_S = 0.05
_PATIENCE_S = 1.0
_LAST_RESORT_S = 4.0
EXIT_STUCK = 75
_stops = msgspec.json.Decoder(Stop)


class Watch:
    """What one worker process has in hand, seen from its other threads.

    An attempt that is to stop is told by its flag. If it goes on for a second, an exception is raised inside it; if
    that does not end it either, and the process is ours alone, the process ends: the lease gives the task to another.

    Args:
        may_exit: whether the process may be ended as a last resort.
    """

    def __init__(self, *, may_exit: bool) -> None:
        self._may_exit = may_exit
        self._lock = threading.Lock()
        self._held: dict[Running, None] = {}
        self._stopped: dict[Running, str] = {}
        self._current: tuple[Running, StopFlag, int, float, float] | None = None
        self._told_at: float | None = None
        self._interrupted = False
        threading.Thread(target=self._tick, name="watch", daemon=True).start()

    def held(self) -> tuple[Running, ...]:
        """What is in hand now, for the heartbeat."""
        with self._lock:
            return tuple(self._held)

    @contextmanager
    def holding(self, attempts: Sequence[Running]) -> Iterator[None]:
        """Have these attempts in hand for the time of the block."""
        with self._lock:
            self._held.update(dict.fromkeys(attempts))
        try:
            yield
        finally:
            self.done(attempts)

    def done(self, attempts: Sequence[Running]) -> None:
        """Have these in hand no longer."""
        with self._lock:
            for attempt in attempts:
                self._held.pop(attempt, None)
                self._stopped.pop(attempt, None)

    def run(
        self, attempt: Running, flag: StopFlag, timeout_s: float, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Do ``work`` in this thread under watch. Raises what it raises, or :class:`AttemptStopped`."""
        with self._lock:
            self._current = (attempt, flag, threading.get_ident(), time.monotonic() + timeout_s, timeout_s)
            self._told_at, self._interrupted = None, False
            if attempt in self._stopped:
                flag.cancel(self._stopped[attempt])
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
            for attempt in self._held:
                if stop.means(attempt):
                    self._stopped[attempt] = stop.reason
            if self._current is not None and stop.means(self._current[0]):
                self._current[1].cancel(stop.reason)

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
        if not flag.is_set():
            return
        if self._told_at is None:
            self._told_at = now
        elif not self._interrupted and now - self._told_at > _PATIENCE_S:
            self._interrupted = True
            interrupt(thread)
        elif self._may_exit and now - self._told_at > _LAST_RESORT_S:
            _log.error("attempt %s of %s does not stop; ending this process", attempt.attempt, attempt.task)
            os._exit(EXIT_STUCK)
