"""Once a day: merge the small files of days that are over, and sweep what does not count.

A clock is looked at once a minute rather than slept against: after a jump of the clock the next night comes all the
same, and at most one merge a day is made. Two that run at once, from another process, do no harm (decision 10).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from projections.archive.compacting import compact
from projections.archive.places import Place
from projections.archive.sweeping import sweep
from schemas.errors import StigmergyError

_log = logging.getLogger(__name__)
_LOOK_S = 60.0
JITTER_S = 600.0
"""So many archives on one object store do not all begin in the same second."""


class Nightly:
    """Merges at a time of day, UTC, up to ten minutes later.

    Attributes:
        trouble: why the last night failed; empty if it did not.
    """

    def __init__(
        self,
        place: Place,
        at: time,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter_s: float = JITTER_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self._place, self._at, self._clock, self._look_s = place, at, clock, look_s
        self._jitter = timedelta(seconds=random.uniform(0, jitter_s))  # noqa: S311 - nothing secret
        self.trouble = ""

    async def run(self) -> None:
        """For ever. What fails is told, and tried again the next night: the writer is not disturbed."""
        done = self._night(self._clock())  # whoever starts in the morning does not merge at once
        while True:
            await asyncio.sleep(self._look_s)
            night = self._night(self._clock())
            if night > done:
                await self.once()
            done = night  # also backwards: a clock that was ahead by a year shall not end the nights

    async def once(self) -> None:
        """Merge and sweep now."""
        try:
            merged = await asyncio.to_thread(compact, self._place)
            swept = await asyncio.to_thread(sweep, self._place)
        except StigmergyError as error:
            self.trouble = f"the nightly merge failed: {error.message}"
            _log.error("the nightly merge failed: %s (%s)", error.message, error.hint)
            return
        self.trouble = ""
        _log.info("merged: %d files to %d; %d leftovers removed", *merged.files, len(swept))

    def _night(self, now: datetime) -> date:
        """The day whose time has come last."""
        return (now - self._jitter - timedelta(hours=self._at.hour, minutes=self._at.minute)).date()
