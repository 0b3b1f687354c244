"""Poison: tasks over which every worker dies, until they are quarantined."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, ClassVar
from unittest.mock import patch

from orchestrator.core import recovery as recovering
from schemas.plan import TaskSpec
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.lockstep import pause


class _Part(Part):
    """The law about what a quarantined task shows stands among those of tasks."""

    def __init__(self, fleet: Any) -> None:
        super().__init__(fleet)
        self._loop = asyncio.get_running_loop()

    def act(self, deed: Deed) -> None:
        if deed.order.action.parameters.get("poison") and self.fleet.fates.strikes("poisoned"):
            self._loop.call_later(0.01, deed.node.die)
            pause(3600.0)


def _deaths_are_not_counted() -> Any:
    sound = recovering._quarantined

    def quarantined(task: Any) -> Any:
        return sound(task).model_copy(update={"deaths": task.deaths[1:]})

    return patch.object(recovering, "_quarantined", quarantined)


class Deaths(Feature):
    """Some tasks are poison."""

    name, share, part = "deaths", 0.12, _Part
    rates: ClassVar = {"poisoned": 0.8}
    mutants: ClassVar = {"a quarantined task hides a death": _deaths_are_not_counted}

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        if rng.random() < 0.75:
            return task
        retry = task.retry.model_copy(update={"max_deaths": rng.choice((1, 2, 3)), "max_attempts": 5})
        return task.model_copy(update={"inputs": {**task.inputs, "poison": True}, "retry": retry, "timeout_s": 30.0})
