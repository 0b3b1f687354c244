"""From recorded times to waiting: how long to hold an event back so that the film runs at the wanted speed.

Pure: the clock comes in. A *lived* second is the viewer's, a *recorded* second the mission's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from schemas.errors import InvalidInput

SLOWEST, FASTEST, MAX = 0.1, 1000.0, math.inf
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, MAX)

_SKEW_S = 5.0
"""Clocks of two machines may differ by so much; what goes further back is a clock that was set anew."""
_NO_TIME_S = 1e-6
"""Shorter waits are rounding: a clock that is moved by them may not move at all."""
_LAG_S = 1.0
"""So many lived seconds are made up for after a stall; what is beyond is let go."""


def parse_speed(said: str) -> float:
    """``2``, ``0.5``, ``10x`` or ``max``. Raises :class:`InvalidInput`."""
    text = said.strip().lower()
    if text == "max":
        return MAX
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not SLOWEST <= speed <= FASTEST:
        raise InvalidInput(f"{said!r} is no speed", hint=f"write a number from {SLOWEST} to {FASTEST:.0f}, or max")
    return speed


class Pace:
    """Ask :meth:`wait_s` before an event is shown, tell :meth:`shown` after.

    Args:
        clock: monotonic seconds.
        speed: recorded seconds per lived second; ``MAX`` never waits.
        longest_gap_s: no wait is longer, in lived seconds; None for no such limit.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        speed: float = 1.0,
        longest_gap_s: float | None = None,
        paused: bool = False,
    ) -> None:
        self._clock = clock
        self._speed = speed
        self._longest_gap_s = longest_gap_s
        self._paused = paused
        self._newest: datetime | None = None
        self._into = 0.0  # recorded seconds that have passed since the newest moment shown
        self._ticked = clock()

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def paused(self) -> bool:
        return self._paused

    def set_speed(self, speed: float) -> None:
        """From now on; what has passed of a wait stays passed."""
        self._tick()
        self._speed = speed

    def faster(self, steps: int = 1) -> None:
        """Up the ladder of :data:`SPEEDS`, or down with a negative number."""
        nearest = min(range(len(SPEEDS)), key=lambda place: _distance(SPEEDS[place], self._speed))
        self.set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + steps))])

    def pause(self) -> None:
        """Hold still."""
        self._tick()
        self._paused = True

    def resume(self) -> None:
        """Go on where it held still."""
        self._tick()
        self._paused = False

    def jump(self, moment: datetime | None) -> None:
        """The viewer went elsewhere: the next wait is counted from this moment."""
        self._tick()
        self._newest, self._into = moment, 0.0

    def wait_s(self, moment: datetime) -> float:
        """Lived seconds until an event of this moment is due: 0 if it is, infinity while paused."""
        self._tick()
        if self._paused:
            return math.inf
        if self._speed == MAX:
            return 0.0
        wait = (self._gap(moment) - self._into) / self._speed
        return wait if wait > _NO_TIME_S else 0.0

    def shown(self, moment: datetime) -> None:
        """An event of this moment was shown. What it came late is made up for, within reason."""
        self._tick()
        if self._speed == MAX or self._newest is None:
            self._into = 0.0
        else:
            self._into = min(max(0.0, self._into - self._gap(moment)), _LAG_S * self._speed)
        # A moment a little before the newest is a machine whose clock is behind; the film does not run back for it.
        if self._newest is None or moment > self._newest or self._behind(moment) > _SKEW_S:
            self._newest = moment

    def _gap(self, moment: datetime) -> float:
        """Recorded seconds from the newest moment to this one, capped; none backwards."""
        gap = max(0.0, -self._behind(moment))
        if self._longest_gap_s is not None:
            gap = min(gap, self._longest_gap_s * self._speed)
        return gap

    def _behind(self, moment: datetime) -> float:
        return 0.0 if self._newest is None else (self._newest - moment).total_seconds()

    def _tick(self) -> None:
        now = self._clock()
        if not self._paused and self._speed != MAX:
            self._into += max(0.0, now - self._ticked) * self._speed
        self._ticked = now


def _distance(one: float, other: float) -> float:
    return 0.0 if one == other else abs(one - other) if math.isfinite(one) and math.isfinite(other) else math.inf
