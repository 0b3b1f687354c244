"""Barriers for random plans."""

from __future__ import annotations

from random import Random

from schemas.barriers import Barrier, Rest, Since
from schemas.plan import Group, Plan, TaskSpec


def with_barriers(rng: Random, plan: Plan, *, likely: float = 0.6) -> Plan:
    """The plan with barriers before some of what has needs, in groups as well."""
    tasks = tuple(_task(rng, task, likely) for task in plan.tasks)
    return plan.model_copy(
        update={"tasks": tasks, "groups": tuple(_group(rng, group, likely) for group in plan.groups)}
    )


def make_barrier(rng: Random, needs: int) -> Barrier:
    """Some barrier; it may want more than there can ever be."""
    at_least = rng.choice((None, 1, rng.randint(1, needs + 1)))
    rest: Rest = rng.choice(("keep", "cancel"))
    if at_least is not None and rng.random() < 0.4:
        return Barrier(at_least=at_least, rest=rest)
    since: Since = rng.choice(("first_begun", "mission"))
    fewest = rng.randint(0, min(at_least or needs, needs))
    seconds = rng.choice((0.5, 5.0, 20.0, 1e15))
    return Barrier(at_least=at_least, until_s=seconds, then_at_least=fewest, since=since, rest=rest)


def _task(rng: Random, task: TaskSpec, likely: float) -> TaskSpec:
    if not task.needs or rng.random() >= likely:
        return task
    inputs = {**task.inputs, "had": "${barrier.met}", "all": [f"${{{need}}}" for need in task.needs if need[0] == "t"]}
    return task.model_copy(update={"barrier": make_barrier(rng, len(task.needs)), "inputs": inputs})


def _group(rng: Random, group: Group, likely: float) -> Group:
    tasks = tuple(_task(rng, task, likely) for task in group.tasks)
    barrier = make_barrier(rng, len(group.needs)) if group.needs and rng.random() < likely else None
    return group.model_copy(update={"tasks": tasks, "barrier": barrier})
