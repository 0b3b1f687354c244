"""Tasks that only some workers may make: labels, and the queues of profiles that go with them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from msgspec.structs import replace

from orchestrator.task_queue import allocation
from schemas.events.attempt import AttemptStarted
from schemas.plan import TaskSpec
from schemas.requirements import profile
from schemas.signals import Heartbeat
from tests.simulation.feature import Feature, Part
from tests.simulation.node import Node
from tests.simulation.said import Said

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.laws = {AttemptStarted: self._started}

    def heartbeat(self, node: Node, beat: Heartbeat) -> Heartbeat:
        labels = self._labels(node.name)
        return replace(beat, host="h", labels=labels, profile=profile("h", labels, {}))

    def _labels(self, worker: str) -> dict[str, str]:
        """Of every second worker; of one that takes the place of a dead one, by its own number."""
        return {"gpu": "yes"} if int(worker[1:]) % 2 else {}

    def _started(self, said: Said) -> None:
        wanted = said.task().spec.requires
        has = {"host": "h", **self._labels(said.payload.worker)}
        lacking = {name for name, value in wanted.items() if has.get(name) != value}
        said.need(not lacking, "only who fulfils the requirements makes the attempt", ", ".join(sorted(lacking)))


def _requirements_are_not_looked_at() -> Any:
    return patch.object(allocation, "_misses", lambda *_: None)


class Requirements(Feature):
    """Some tasks want a label that only some workers have."""

    name, share, part = "requirements", 0.12, _Part
    mutants: ClassVar = {"requirements are not looked at": _requirements_are_not_looked_at}

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        if rng.random() < 0.6:
            return task
        return task.model_copy(update={"requires": rng.choice(({"gpu": "yes"}, {"host": "h"}))})
