"""Missions that begin in the middle of others, while these run or have ended, and take over what was done there."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from orchestrator.core import adopting
from schemas.commands import ForkMission
from schemas.events.task import TaskAdopted
from schemas.ids import uuid7
from tests.simulation.feature import Feature, Part
from tests.simulation.said import Said
from tests.simulation.scenario import Script, Wish

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._forks = 0
        self.laws = {TaskAdopted: self._adopted}
        self.verbs = {"fork": self._fork}

    def _adopted(self, said: Said) -> None:
        event = said.payload
        origin = self.fleet.checker.followed.get((said.book.key[0], event.origin))
        known = origin is not None and event.origin_task in origin.book.tasks
        said.need(known, "only what another mission of the tenant did is taken over")
        assert origin is not None
        task = origin.book.tasks[event.origin_task]
        if event.failure is not None:
            said.need(event.attempt in task.verdicts, "only what failed there is taken over as failed")
            return
        said.need(event.attempt in task.counted, "only what counted there is taken over")
        end = origin.book.tasks[origin.book.stands_for(event.origin_task)]
        report = end.reports[event.attempt if end is task else end.attempt]
        said.need(event.changed or event.output == report.output, "what is taken over is what was recorded")

    async def _fork(self, script: Script, wish: Wish) -> None:
        seen = self.fleet.checker.followed.get(script.key)
        if seen is None or not seen.missions:
            return
        self._forks += 1
        at = max(1, round(float(wish.about) * len(seen.missions)))
        about = {"tenant": script.tenant, "origin": script.mission, "at": at}
        await self.fleet.ask(ForkMission(id=uuid7(), mission=f"f{self._forks}", **about))


def _outputs_are_lost() -> Any:
    sound = adopting.recorded

    def recorded(*arguments: Any) -> Any:
        made = sound(*arguments)
        return made if made is None else made.model_copy(update={"output": {}})

    return patch.object(adopting, "recorded", recorded)


class Forks(Feature):
    """Forks at any event, without changes; ``test_forks.py`` has those with changes."""

    name, share, part = "forks", 0.15, _Part
    mutants: ClassVar = {"outputs are lost on the way": _outputs_are_lost}

    def wishes(self, rng: Random, script: Script) -> tuple[Wish, ...]:
        return tuple(
            Wish(rng.random() * rng.choice((3.0, 15.0)), "fork", f"{rng.random():.3f}")
            for _ in range(rng.choice((0, 1, 1, 2)))
        )
