"""Tasks that want the same files: who waits, and what a later one builds on. Pure.

A claim is taken with the record that dispatches the attempt, all of it at once, and ends with the attempt: nobody holds
one claim while waiting for another, so nobody can wait in a circle. The record is appended compared with the newest
record of its noun in the mission, so two managers cannot both grant what clashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from orchestrator.task_queue.patterns import overlapping
from schemas.attempts import AttemptOrder
from schemas.events.task import TaskReady
from schemas.expectations import FreshInput
from schemas.handoff import Earlier


class Product(Struct, frozen=True):
    """What a task that counts made of files that it had claimed.

    Attributes:
        base: id of the tree it began with, before anything was merged into it.
        claims: its own and those of the tasks whose changes are in it.
        includes: those tasks.
        snapshot: the tree it left.
    """

    task: str
    base: str
    claims: tuple[str, ...]
    includes: frozenset[str]
    snapshot: dict[str, Any]


class Board:
    """The claims of one mission's open attempts, and those granted or waited for in the decision under way."""

    def __init__(self, held: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        self._held = list(held)

    def in_the_way(self, ready: TaskReady) -> str | None:
        """The task whose claims this one has to wait for; None if it may go."""
        if ready.on_conflict != "serialise" or not ready.writes:
            return None
        return next((task for task, claims in self._held if overlapping(ready.writes, claims)), None)

    def note(self, ready: TaskReady) -> None:
        """Take note of a task that goes, or that waits: who comes behind it and overlaps waits as well, or a task that
        wants many files would never get them."""
        if ready.writes:
            self._held.append((ready.task, ready.writes))


def earlier(ready: TaskReady, products: Iterable[Product]) -> tuple[Earlier, ...]:
    """The products of earlier tasks that this one has to build on: same beginning, overlapping claims."""
    builds = ready.on_conflict == "serialise" or any(isinstance(one, FreshInput) for one in ready.expects)
    if not builds or ready.workspace is None:
        return ()
    base = ready.workspace.get("tree")
    return tuple(
        Earlier(task=product.task, snapshot=product.snapshot)
        for product in products
        if product.base == base and product.task != ready.task and overlapping(ready.writes, product.claims)
    )


def moved_meanwhile(
    ready: TaskReady, order: AttemptOrder | None, changes: Iterable[str], products: Iterable[Product]
) -> dict[str, str]:
    """Files that an attempt changed and another task has changed as well, in a product the attempt was not built on."""
    if order is None or ready.workspace is None:
        return {}
    known, base, paths = {one.task for one in order.onto}, ready.workspace.get("tree"), sorted(changes)
    return {
        path: product.task
        for product in products
        if product.base == base and product.task != ready.task and not known & {product.task, *product.includes}
        for path in paths
        if overlapping((path,), product.claims)
    }


def with_product(
    products: tuple[Product, ...], ready: TaskReady, onto: Iterable[Earlier], snapshot: dict[str, Any]
) -> tuple[Product, ...]:
    """The products of a mission after one more; those whose changes are in it need not be kept."""
    if not ready.writes or ready.workspace is None:
        return products
    names = {one.task for one in onto}
    merged = [product for product in products if product.task in names]
    includes = names.union(*(product.includes for product in merged))
    claims = dict.fromkeys([*ready.writes, *(claim for product in merged for claim in product.claims)])
    made = Product(
        task=ready.task,
        base=str(ready.workspace.get("tree")),
        claims=tuple(claims),
        includes=frozenset(includes),
        snapshot=snapshot,
    )
    return (*(p for p in products if p.task not in includes and p.task != ready.task), made)
