"""Random plans, and random words about them, all from one :class:`random.Random`."""

from __future__ import annotations

from random import Random
from typing import Any

from schemas.handoff import HandOffRule
from schemas.plan import ROOT_GOAL, GoalSpec, Group, Plan, Recovery, RecoveryRule, RetryPolicy, RetryRule, TaskSpec
from tests.core.settled_plans import make_settled

LISTS: tuple[Any, ...] = (
    [],
    ["a"],
    ["a", "a", "a-2"],
    ["a-3", "b", "a", "a"],
    [{"id": "x"}, {"id": "y"}, {"no": "id"}],
    [{"id": "x" * 90}, {"id": "x" * 90}, 7, None],
    "no list",
    {"id": 1},
)


def make_plan(rng: Random, size: int) -> Plan:
    """A plan with ``size`` tasks and groups; each needs only earlier ones, and is listed anywhere."""
    goals = [_goal(rng, number) for number in range(rng.randint(0, 3))]
    names = [ROOT_GOAL, *(goal.id for goal in goals)]
    tasks: list[TaskSpec] = []
    groups: list[Group] = []
    nodes: list[str] = []
    for number in range(size):
        needs = tuple(rng.sample(nodes, min(len(nodes), rng.choice((0, 1, 1, 2)))))
        if rng.random() < 0.2:
            groups.append(_group(rng, f"g{number}", needs, [t.id for t in tasks if t.id in needs], names))
            nodes.append(f"g{number}")
        elif rng.random() < 0.15:
            tasks += make_settled(rng, f"v{number}", needs, rng.choice(names))
            nodes.append(f"v{number}")
        else:
            tasks.append(_task(rng, f"t{number}", needs, rng.choice(names), [t.id for t in tasks if t.id in needs]))
            nodes.append(f"t{number}")
    rng.shuffle(tasks)
    deadline = rng.choice((None, None, None, 40.0))
    # Which members run beside one another until their owner is settled is not for a result to tell.
    told = [task.id for task in tasks if not task.member_of]
    result = {"first": f"${{{told[0]}.output.n}}"} if told else {}
    return Plan(goals=tuple(goals), tasks=tuple(tasks), groups=tuple(groups), result=result, deadline_s=deadline)


def _goal(rng: Random, number: int) -> GoalSpec:
    parent = ROOT_GOAL if number == 0 else rng.choice((ROOT_GOAL, f"goal{number - 1}"))
    deadline = rng.choice((None, None, 5.0, 30.0, 1e15))
    threshold = rng.choice((0, 0, 1, 2))
    return GoalSpec(
        id=f"goal{number}", parent=parent, optional=rng.random() < 0.4, error_threshold=threshold, deadline_s=deadline
    )


def _task(rng: Random, name: str, needs: tuple[str, ...], goal: str, known: list[str]) -> TaskSpec:
    inputs: dict[str, Any] = {}
    if known and rng.random() < 0.5:
        inputs["before"] = f"${{{rng.choice(known)}.output.n}}"
    if rng.random() < 0.03:
        inputs["lost"] = "${nobody.output.n}"
    policy = RetryPolicy(
        max_attempts=rng.randint(1, 3),
        delay_s=rng.choice((0.001, 0.2, 3.0)),
        on_violation=rng.random() < 0.5,
        max_deaths=rng.randint(1, 3),
        by_error={"timed_out": RetryRule(max_attempts=1)} if rng.random() < 0.2 else {},
    )
    recover = tuple(_rule(rng) for _ in range(rng.choice((0, 0, 1, 2))))
    hand_off = HandOffRule(to=rng.choice((None, None, (), ("other",), ("other", "third"))), most=rng.randint(0, 3))
    return TaskSpec(
        id=name, skill="s", needs=needs, goal=goal, inputs=inputs, retry=policy, recover=recover, hand_off=hand_off
    )


def _rule(rng: Random) -> RecoveryRule:
    do: Recovery = rng.choice(("retry_with_feedback", "other_agent", "smaller_step", "roll_back", "ask", "fail"))
    on: Any = rng.choice(("any", "test_failed", "false_done"))
    return RecoveryRule(category=on, do=do, times=rng.randint(1, 2), skill="other" if do == "other_agent" else "")


def _group(rng: Random, name: str, needs: tuple[str, ...], known: list[str], goals: list[str]) -> Group:
    items = f"${{{rng.choice(known)}.output.items}}" if known and rng.random() < 0.7 else "${inputs.items}"
    tasks: list[TaskSpec] = []
    for number in range(rng.randint(1, 3)):
        inner = tuple(task.id for task in tasks if rng.random() < 0.5)
        spec = _task(rng, f"{'s' * rng.choice((1, 1, 1, 60))}{number}", inner, ROOT_GOAL, list(inner))
        tasks.append(spec.model_copy(update={"inputs": {**spec.inputs, "item": "${item}"}}))
    if rng.random() < 0.15:
        for spec in make_settled(rng, "v", (), ROOT_GOAL):
            item = {"item": "${item}"} if spec.skill else {}
            tasks.append(spec.model_copy(update={"inputs": {**spec.inputs, **item}}))
    return Group(
        id=name,
        items=items,
        needs=needs,
        goal=rng.choice(goals),
        optional_branches=rng.random() < 0.5,
        tasks=tuple(tasks),
    )


def make_parts(rng: Random, known: list[str]) -> tuple[TaskSpec, ...]:
    """What can be done instead of a task; nothing, sometimes."""
    tasks: list[TaskSpec] = []
    for number in range(rng.choice((0, 1, 1, 2, 3))):
        inner = tuple(task.id for task in tasks if rng.random() < 0.5)
        tasks.append(_task(rng, f"p{number}", inner, ROOT_GOAL, [*inner, *known]))
    free = [task.id for task in tasks if not any(task.id in other.needs for other in tasks)]
    if len(free) > 1:
        tasks.append(_task(rng, "join", tuple(free), ROOT_GOAL, free))
    rng.shuffle(tasks)
    return tuple(tasks)


def make_items(rng: Random) -> Any:
    """What a task says is the list for a group; mostly one, with names that clash."""
    return rng.choice(LISTS[:5]) if rng.random() < 0.9 else rng.choice(LISTS)
