"""Drawing a scenario from a seed: plans, missions, wishes and misfortunes, and the features that change them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from schemas.expectations import ExitCode, Expectation, MaxDuration, OutputHas
from schemas.plan import ROOT_GOAL, GoalSpec, Group, Plan, RetryPolicy, TaskSpec
from tests.simulation.fates import RATES
from tests.simulation.features import FEATURES
from tests.simulation.scenario import SKILLS, Scenario, Script, Wish
from tests.simulation.waits import with_barriers

_WEIGHTS = (0.5, 1.0, 1.0, 4.0)
"""Each run has misfortunes of its own: where everything happens at once, some things never happen."""
_FAR_SHARE = 0.3
SKIPPED_SHARE = 0.02
"""How many tasks refer to what never comes about, or want what nobody can do."""


def make_scenario(seed: int, *, always: frozenset[str] = frozenset()) -> Scenario:
    """The scenario of a seed: small enough that thousands can be played in a minute.

    Every feature draws from a stream of its own, so one more or one less leaves the others as they were.

    Args:
        seed: of everything.
        always: features that take part whatever the seed says.
    """
    scenario = _plain(seed)
    for name, feature in FEATURES.items():
        rng = Random(f"{seed}/{name}")
        if rng.random() < feature.share or name in always:
            scenario = feature.draw(rng, replace(scenario, features=scenario.features | {name}))
    return scenario


def _plain(seed: int) -> Scenario:
    rng = Random(f"{seed}/scenario")
    calm = rng.choice((0.0, 0.3, 1.0, 1.0, 2.0))
    chosen = [kind for kind in sorted(RATES) if rng.random() < 0.8]
    scripts = tuple(_script(rng, number) for number in range(rng.choice((1, 2, 2, 3))))
    patient = Random(f"{seed}/barriers")
    scripts = tuple(
        replace(script, plan=with_barriers(patient, script.plan)) if patient.random() < 0.5 else script
        for script in scripts
    )
    return Scenario(
        seed=seed,
        scripts=scripts,
        orchestrators=rng.choice((1, 2, 2)),
        managers=rng.choice((1, 2)),
        workers=rng.randint(1, 3),
        rough_s=rng.choice((5.0, 12.0, 25.0)),
        rates={kind: min(0.9, RATES[kind] * calm * rng.choice(_WEIGHTS)) for kind in chosen} if calm else {},
        far=Random(f"{seed}/far").random() < _FAR_SHARE,
    )


def _script(rng: Random, number: int) -> Script:
    wishes = []
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        verb = rng.choice(("pause", "resume", "retry", "retry", "cancel", "submit"))
        wishes.append(Wish(rng.random() * rng.choice((2.0, 6.0, 15.0)), verb))
    return Script(
        tenant=rng.choice(("default", "acme")),
        mission=f"m{number}",
        submit_at=rng.random() * rng.choice((0.5, 8.0)),
        plan=make_plan(rng, rng.choice((0, 1, 2, 3, 5, 8, 12))),
        inputs={"items": rng.choice(LISTS)},
        wishes=tuple(sorted(wishes, key=lambda wish: wish.at)),
    )


LISTS: tuple[Any, ...] = ([], ["a"], ["a", "b"], ["a", "a"], [{"id": "x"}, {"id": "y"}, {"no": "id"}], "no list")


def make_plan(rng: Random, size: int) -> Plan:
    """A plan with ``size`` tasks and groups; each needs only earlier ones, and is listed anywhere."""
    goals = [_goal(rng, number) for number in range(rng.choice((0, 0, 1, 2)))]
    names = [ROOT_GOAL, *(goal.id for goal in goals)]
    tasks: list[TaskSpec] = []
    groups: list[Group] = []
    nodes: list[str] = []
    for number in range(size):
        needs = tuple(rng.sample(nodes, min(len(nodes), rng.choice((0, 1, 1, 2)))))
        known = [task.id for task in tasks if task.id in needs]
        if rng.random() < 0.15:
            groups.append(_group(rng, f"g{number}", needs, known, names))
            nodes.append(f"g{number}")
        else:
            tasks.append(_task(rng, f"t{number}", needs, rng.choice(names), known))
            nodes.append(f"t{number}")
    rng.shuffle(tasks)
    result = {"first": f"${{{tasks[0].id}.output.n}}"} if tasks else {}
    deadline = rng.choice((None, None, None, None, 8.0, 60.0))
    return Plan(goals=tuple(goals), tasks=tuple(tasks), groups=tuple(groups), result=result, deadline_s=deadline)


def _goal(rng: Random, number: int) -> GoalSpec:
    return GoalSpec(
        id=f"goal{number}",
        parent=ROOT_GOAL if number == 0 else rng.choice((ROOT_GOAL, f"goal{number - 1}")),
        optional=rng.random() < 0.4,
        error_threshold=rng.choice((0, 0, 1, 2)),
        deadline_s=rng.choice((None, None, None, 3.0, 20.0)),
    )


def _task(rng: Random, name: str, needs: tuple[str, ...], goal: str, known: list[str]) -> TaskSpec:
    inputs: dict[str, Any] = {}
    if known and rng.random() < 0.5:
        inputs["before"] = f"${{{rng.choice(known)}.output.n}}"
    if rng.random() < SKIPPED_SHARE:
        inputs["lost"] = "${nobody.output.n}"
    expects: list[Expectation] = []
    if rng.random() < 0.6:
        expects.append(OutputHas(keys=("by",)))
    if rng.random() < 0.3:
        expects.append(ExitCode(code=0))
    if rng.random() < 0.2:
        expects.append(MaxDuration(seconds=rng.choice((0.5, 5.0))))
    return TaskSpec(
        id=name,
        skill="nobody" if rng.random() < SKIPPED_SHARE else rng.choice(SKILLS),
        needs=needs,
        goal=goal,
        inputs=inputs,
        expects=tuple(expects),
        retry=RetryPolicy(
            max_attempts=rng.choice((1, 2, 3, 5)),
            delay_s=rng.choice((0.01, 0.2, 2.0)),
            max_delay_s=8.0,
            on_violation=rng.random() < 0.5,
        ),
        priority=rng.randint(0, 9),
        timeout_s=rng.choice((1.0, 5.0, 30.0)),
    )


def _group(rng: Random, name: str, needs: tuple[str, ...], known: list[str], goals: list[str]) -> Group:
    items = f"${{{rng.choice(known)}.output.items}}" if known and rng.random() < 0.6 else "${inputs.items}"
    tasks: list[TaskSpec] = []
    for number in range(rng.randint(1, 2)):
        inner = tuple(task.id for task in tasks if rng.random() < 0.5)
        spec = _task(rng, f"x{number}", inner, ROOT_GOAL, list(inner))
        tasks.append(spec.model_copy(update={"inputs": {**spec.inputs, "item": "${item}"}}))
    optional = rng.random() < 0.5
    return Group(
        id=name, items=items, needs=needs, goal=rng.choice(goals), optional_branches=optional, tasks=tuple(tasks)
    )
