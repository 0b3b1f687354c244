"""A planner with moods, which knows other ways for tasks that are stuck; and plans with rules that ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from orchestrator.planning import Impasse
from schemas.expectations import OutputHas
from schemas.plan import ROOT_GOAL, Plan, RecoveryRule, RetryPolicy, TaskSpec
from tests.simulation.fates import Fates
from tests.simulation.feature import Deed, Feature, Part

PATIENCE_S = 5.0
_SKILLS = ("s", "t")
NONSENSE: tuple[Any, ...] = (
    "do it better",
    7,
    [None],
    [TaskSpec(id="a", skill="s"), TaskSpec(id="b", skill="s")],
    [TaskSpec(id="a", skill="s", needs=("b",)), TaskSpec(id="b", skill="s", needs=("a",))],
    [TaskSpec(id="a", skill="s", inputs={"x": object()})],
    [TaskSpec(id="x" * 100, skill="s")],
)


class MoodyPlanner:
    """Every submission brings its plan. About what is stuck it answers late, not at all, or nonsense, if it pleases."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any]) -> Plan:
        raise NotImplementedError

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        fates, rng = self._fates, self._fates.stream("planner")
        if fates.strikes("planner_silent"):
            await asyncio.sleep(10 * PATIENCE_S)
        if fates.strikes("planner_late"):
            await asyncio.sleep(fates.size("planner_late", 0.05, PATIENCE_S))
        if fates.strikes("planner_fails"):
            raise RuntimeError("the model is not in the mood")
        if fates.strikes("planner_nonsense"):
            answer: Sequence[TaskSpec] = rng.choice(NONSENSE)
            return answer
        return _parts(rng) if rng.random() < 0.8 else ()


def _parts(rng: Random) -> tuple[TaskSpec, ...]:
    """A few tasks, the last of which needs the others."""
    tasks: list[TaskSpec] = []
    for number in range(rng.randint(0, 2)):
        needs = tuple(task.id for task in tasks if rng.random() < 0.5)
        tasks.append(_part(rng, f"p{number}", needs, {}))
    every = tuple(task.id for task in tasks)
    inputs = {"before": f"${{{every[0]}.output.n}}"} if every else {}
    return (*tasks, _part(rng, "end", every, inputs))


def _part(rng: Random, name: str, needs: tuple[str, ...], inputs: dict[str, Any]) -> TaskSpec:
    return TaskSpec(
        id=name,
        skill=rng.choice(_SKILLS),
        needs=needs,
        inputs=inputs,
        expects=(OutputHas(keys=("by",)),),
        goal=ROOT_GOAL,
        retry=RetryPolicy(max_attempts=rng.choice((1, 3)), delay_s=0.1, on_violation=True),
        recover=_rules(rng),
        timeout_s=rng.choice((1.0, 30.0)),
    )


def _rules(rng: Random) -> tuple[RecoveryRule, ...]:
    return (RecoveryRule(do="smaller_step", times=rng.choice((1, 1, 2))),) if rng.random() < 0.7 else ()


class _Part(Part):
    def orchestrator(self) -> Mapping[str, Any]:
        return {"planner": MoodyPlanner(self.fleet.fates), "planner_timeout_s": PATIENCE_S}

    def act(self, deed: Deed) -> None:
        if self.fleet.fates.strikes("step_too_large"):
            deed.output = {"n": 1}


class OtherWay(Feature):
    """Tasks that get stuck, and a planner who may know another way."""

    name, share, part = "otherway", 0.25, _Part
    rates: ClassVar = {
        "step_too_large": 0.4,
        "planner_late": 0.3,
        "planner_silent": 0.1,
        "planner_fails": 0.1,
        "planner_nonsense": 0.1,
    }

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        expects = (OutputHas(keys=("by",)),) if rng.random() < 0.7 else task.expects
        return task.model_copy(update={"recover": (*_rules(rng), *task.recover), "expects": expects})
