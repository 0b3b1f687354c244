"""A stream that forgets: the real rule of what may go, over a log that drops it while missions run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast
from unittest.mock import patch

from events.jetstream.keeping import StreamSize
from projections.archive.retention import Policy, Retention
from schemas.commands import ResumeWork, StopWork
from schemas.ids import uuid7
from tests.simulation.feature import Feature, Part
from tests.simulation.ledger import Broken
from tests.simulation.scenario import Scenario, Script
from tests.simulation.virtual_time import BEGIN

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_GRACE = timedelta(seconds=15)
"""Longer than a command may be late: whatever it is about is still there."""
_STOPPED = "nobody"


class _Stream:
    """The log as a stream: its size, and what goes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def size(self) -> StreamSize:
        log = self._fleet.log
        first, _ = await log.oldest()
        newest = BEGIN + timedelta(seconds=asyncio.get_running_loop().time())
        last = await log.last_sequence()
        count = last + 1 - first
        return StreamSize(first=first, last=last, messages=count, bytes=1000 * count, newest=newest)

    async def needed_by_consumers(self) -> dict[str, int]:
        return {}

    async def drop_before(self, sequence: int) -> int:
        """Drop, unless somebody needs it: that is the law."""
        for key, seen in self._fleet.checker.followed.items():
            # Before its submission there may be refusals of what was asked of it; nobody needs those.
            begun = min((at[0] for at, was in seen.missions.items() if was.submission), default=sequence)
            needed = seen.book.submission and not seen.book.settled() and begun < sequence
            if needed:
                raise Broken("nothing is dropped that an open mission needs", key, f"{begun} of {sequence}")
        for span in self._fleet.checker.spans:
            if not span.trip and span.place is not None and span.until is None and span.place[0] < sequence:
                raise Broken("nothing is dropped that a stop in force needs", ("_", "_"), f"{span} of {sequence}")
        before, _ = await self._fleet.log.oldest()
        self._fleet.log.forget(sequence - 1)
        return sequence - before


class _Paper(Retention):
    """The real rule; everything is archived and sound."""

    async def _proved_until(self, first: int, until: int) -> int:
        return until

    async def _marks(self) -> dict[str, int]:
        return {}


class _Part(Part):
    async def live(self) -> None:
        """Drop what may go, now and then; a stop of somebody who is not there is in force meanwhile."""
        policy = Policy(max_age=timedelta(seconds=2))
        place = cast("Any", None)
        retention = _Paper(self.fleet.log, place, _Stream(self.fleet), policy, _nobody, grace=_GRACE)
        end = SimpleNamespace(end=1_000_000_000)
        with patch("projections.archive.retention.manifest", lambda *_: end):
            await self.fleet.ask(StopWork(id=uuid7(), mission="_", agent=_STOPPED, everyone=True))
            while True:
                await asyncio.sleep(2.0)
                await retention.once()

    async def calm(self) -> None:
        """Whoever is asked about an ended mission later need not know it any more."""
        await self.fleet.ask(ResumeWork(id=uuid7(), mission="_", agent=_STOPPED, everyone=True))


async def _nobody() -> Mapping[str, int]:
    return {}


def _open_missions_do_not_hold() -> Any:
    async def oldest(*_: Any) -> None:
        return None

    return patch.object(Retention, "_oldest_mission", oldest)


def _stops_do_not_hold() -> Any:
    async def oldest(*_: Any) -> None:
        return None

    return patch.object(Retention, "_oldest_stop", oldest)


class Forgetting(Feature):
    """Some missions at first and some much later, so that there is something to drop while others run."""

    name, share, part = "retention", 0.1, _Part
    mutants: ClassVar = {
        "open missions hold nothing": _open_missions_do_not_hold,
        "stops in force hold nothing": _stops_do_not_hold,
    }

    def draw(self, rng: Random, scenario: Scenario) -> Scenario:
        scenario = super().draw(rng, scenario)
        return replace(scenario, rough_s=max(scenario.rough_s, 45.0))

    def script(self, rng: Random, script: Script) -> Script:
        # A wish about a mission that is gone would be another mission's; see the grace of an hour in production.
        return replace(script, submit_at=rng.choice((0.5, 5.0, 30.0, 40.0)), wishes=())
