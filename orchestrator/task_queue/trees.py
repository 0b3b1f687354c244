"""Where the trees of a mission come from, and what their tests took. Folded by the floor, pure."""

from __future__ import annotations

from typing import Any

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.attempt import AttemptFinished
from schemas.test_report import CutShort

_MOST = 5000
_FARTHEST = 20


class Tree(Struct, frozen=True):
    """One file tree.

    Attributes:
        base: id of the tree it was made of; None if that is not known.
        changes: paths in which the two differ.
        suite_s: how long its test suite took; None if that did not run to its end.
    """

    base: str | None = None
    changes: tuple[str, ...] = ()
    suite_s: float | None = None


def noted(trees: Map[str, Tree], given: dict[str, Any] | None, finished: AttemptFinished) -> Map[str, Tree]:
    """The trees after one more attempt that counts. ``given`` is the workspace it began with."""
    base = _id(given)
    if base is None or len(trees) >= _MOST:
        return trees
    product, seen = _id(finished.product), finished.observation
    if seen.tests is not None and product == base and seen.tests.get("outcome") not in CutShort:
        tested = trees.get(base, Tree())
        return trees.set(base, replace(tested, suite_s=float(seen.tests.get("duration_s", 0.0))))
    if product is not None and product != base and product not in trees and seen.changes is not None:
        return trees.set(product, Tree(base, tuple(sorted(seen.changes))))
    return trees


def since_tested(
    trees: Map[str, Tree], workspace: dict[str, Any] | None
) -> tuple[tuple[str, ...] | None, float | None]:
    """The files that changed since the nearest earlier tree whose tests ran, and how long those took."""
    name, changed = _id(workspace), set[str]()
    for _ in range(_FARTHEST):
        tree = trees.get(name) if name is not None else None
        if tree is None:
            return None, None
        if tree.suite_s is not None:
            return tuple(sorted(changed)), tree.suite_s
        changed.update(tree.changes)
        name = tree.base
    return None, None


def _id(snapshot: dict[str, Any] | None) -> str | None:
    return None if snapshot is None else str(snapshot.get("tree"))
