"""Barriers in the second book-keeping: when what stands behind one may begin, and when it never will.

Told from what was said of single tasks, and from the times on the envelopes; nothing is counted up or down.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

from schemas.barriers import Barrier, Rest, Since
from schemas.plan import Group, Plan, TaskSpec

if TYPE_CHECKING:
    from tests.simulation.ledger import Book

MET, LOST, OPEN = "met", "lost", "open"


def units(book: Book, spec: TaskSpec | Group) -> Iterator[tuple[str, str]]:
    """What a barrier counts, and how each of it ended."""
    for need in spec.needs:
        if need in book.tasks:
            yield need, _end([book.tasks[need].ended])
        elif need in book.branches:
            for branch in book.branches[need]:
                yield f"{need}.{branch}", _end([task.ended for _, task in book.below(f"{need}.{branch}")])
        else:
            yield need, LOST if book.given_up(need) else "unknown"


def lacking(book: Book, spec: TaskSpec | Group, said: tuple[str, ...] | None, at: datetime) -> str:
    """Why a node may not begin with what it says was there (None: with what is there); empty if it may."""
    ends = dict(units(book, spec))
    there = [unit for unit, end in ends.items() if end == MET]
    barrier = spec.barrier
    assert barrier is not None
    if said is not None and not set(said) <= set(there):
        return f"it says that {said} were there, and there were {there}"
    count = len(there if said is None else said)
    still = [unit for unit, end in ends.items() if end in (OPEN, "unknown")]
    if barrier.at_least is not None and count >= barrier.at_least:
        return ""
    if barrier.at_least is None and count == len(ends):
        return ""
    if (
        barrier.until_s is not None
        and count >= barrier.then_at_least
        and (not still or passed(book, spec, barrier, at))
    ):
        return ""
    return f"{count} of {len(ends)} were there, {still} still open"


def hopeless(book: Book, spec: TaskSpec | Group) -> bool:
    """Whether too few can come about."""
    assert spec.barrier is not None
    ends = [end for _, end in units(book, spec)]
    fewest = len(ends) if spec.barrier.fewest is None else spec.barrier.fewest
    return "unknown" not in ends and ends.count(MET) + ends.count(OPEN) < fewest


def passed(book: Book, spec: TaskSpec | Group, barrier: Barrier, at: datetime) -> bool:
    """Whether the time of a barrier has passed."""
    begun = [book.begun[need] for need in spec.needs if need in book.begun]
    since = book.began if barrier.since == "mission" else min(begun, default=None)
    return since is not None and barrier.until_s is not None and (at - since).total_seconds() >= barrier.until_s


def borne(nodes: Iterator[TaskSpec | Group], name: str) -> bool:
    """Whether nothing but barriers waits for it."""
    users = [node for node in nodes if name in node.needs]
    return bool(users) and all(node.barrier is not None for node in users)


def with_barriers(rng: Random, plan: Plan) -> Plan:
    """The plan with barriers before some of what has needs."""
    tasks = tuple(_patient(rng, task) for task in plan.tasks)
    groups = tuple(
        _patient(rng, group.model_copy(update={"tasks": tuple(_patient(rng, task) for task in group.tasks)}))
        for group in plan.groups
    )
    return plan.model_copy(update={"tasks": tasks, "groups": groups})


def _patient[Node: (TaskSpec, Group)](rng: Random, node: Node) -> Node:
    if not node.needs or rng.random() < 0.4:
        return node
    rest: Rest = rng.choice(("keep", "cancel"))
    at_least = rng.choice((None, 1, 1, len(node.needs), len(node.needs) + rng.randint(0, 1)))
    if at_least is not None and rng.random() < 0.5:
        return node.model_copy(update={"barrier": Barrier(at_least=at_least, rest=rest)})
    since: Since = rng.choice(("first_begun", "mission"))
    fewest = rng.randint(0, min(at_least or 1, 2))
    seconds = rng.choice((0.2, 1.0, 4.0, 20.0))
    made = Barrier(at_least=at_least, until_s=seconds, then_at_least=fewest, since=since, rest=rest)
    return node.model_copy(update={"barrier": made})


def _end(ended: list[str]) -> str:
    if not all(ended):
        return OPEN
    return MET if all(each == "succeeded" for each in ended) else LOST
