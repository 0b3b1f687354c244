"""An event loop whose clock jumps: whoever waits for a minute waits for nothing, and the order of things is kept."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class _Jumping(selectors.SelectSelector):
    """Never waits for time to pass: it moves the clock instead."""

    elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else, and no clock will wake them")
        self.elapsed += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, beginning at 1000 seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return 1000.0 + self._jumping.elapsed

    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """At once, in this thread: other threads would not know of this clock."""
        done = self.create_future()
        done.set_result(func(*args))
        return done


def clock() -> datetime:
    """The instant of the running loop's clock."""
    return BEGIN + timedelta(seconds=monotonic())


def monotonic() -> float:
    """Seconds on the running loop's clock."""
    return asyncio.get_running_loop().time()


def wall_clock() -> datetime:
    """The real instant, for tests with real servers."""
    return datetime.now(UTC)


def simulate(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)
