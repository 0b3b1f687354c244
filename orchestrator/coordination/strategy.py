"""Which way of working together fits a mission: many small tasks handed out, or few large ones that hand over. Pure.

Each property of the plan speaks for one side, in points; their sum decides, and is recorded with the choice:

- breadth ``log2(width)``, size ``log2(tasks) / 2`` and inputs ``log2(1 + KiB / 64) / 2`` speak for ``hierarchical``:
  parts that run side by side, and fit into an agent's head.
- depth ``log2(depth)`` and conflicts ``log2(1 + conflicts)`` speak for ``peer``: at every step of a chain the
  orchestrator stands in between, and agents that mean the same files had better hand them on than merge them.
- urgency: if the mission has a deadline below twice its expected time, or a task of priority 8 or 9, two points for
  what is expected to be over sooner, and if nobody knows, for ``hierarchical`` if anything can run side by side.

The properties are those of the hierarchical plan: it shows the parts that the peer plan hides in its tasks. The weights
are a beginning: ``stig ab`` measures on one's own missions whether they are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from orchestrator.coordination.complexity import Complexity
from schemas.plan import Strategy, StrategyName

HIERARCHICAL: StrategyName = "hierarchical"
PEER: StrategyName = "peer"
_URGENT_PRIORITY = 8
_URGENT_SHARE = 2.0
_URGENT_POINTS = 2.0
_KIB = 1024


def select(variants: Mapping[StrategyName, Complexity]) -> Strategy:
    """The strategy for a mission that has a plan of each kind; of one kind only, there is nothing to choose.

    Raises:
        ValueError: there is no variant at all.
    """
    if len(variants) == 1:
        [only] = variants
        return Strategy(name=only, because="the workflow has no other variant", chosen="auto")
    if not variants:
        raise ValueError("a choice between nothing")
    terms = _terms(variants[HIERARCHICAL], variants[PEER])
    total = round(sum(terms.values()), 2)
    name = HIERARCHICAL if total > 0 else PEER
    shown = variants[HIERARCHICAL]
    told = ", ".join(f"{term} {value:+g}" for term, value in terms.items() if value) or "nothing speaks for either"
    because = (
        f"{total:+g} points for hierarchical: {told}; its plan has {shown.tasks} tasks, {shown.width} side by side, "
        f"{shown.depth} in a row, {shown.conflicts} expected conflicts"
    )
    return Strategy(name=name, because=because, chosen="auto")


def _terms(hierarchical: Complexity, peer: Complexity) -> dict[str, float]:
    """What speaks for ``hierarchical``; below 0 for ``peer``."""
    terms = {
        "breadth": _log(hierarchical.width),
        "size": _log(hierarchical.tasks) / 2,
        "inputs": log2(1 + hierarchical.input_bytes / (64 * _KIB)) / 2,
        "depth": -_log(hierarchical.depth),
        "conflicts": -log2(1 + hierarchical.conflicts),
        "urgency": _urgency(hierarchical, peer),
    }
    return {name: round(value, 2) for name, value in terms.items()}


def _urgency(hierarchical: Complexity, peer: Complexity) -> float:
    sooner = _known_sooner(hierarchical, peer)
    if not _urgent(hierarchical, peer):
        return 0.0
    if sooner is None:
        return _URGENT_POINTS if hierarchical.width > 1 else 0.0
    return sooner * _URGENT_POINTS


def _urgent(hierarchical: Complexity, peer: Complexity) -> bool:
    if max(hierarchical.priority, peer.priority) >= _URGENT_PRIORITY:
        return True
    deadlines = [one.deadline_s for one in (hierarchical, peer) if one.deadline_s is not None]
    expected = [one.expected_s for one in (hierarchical, peer) if one.expected_s is not None]
    return bool(deadlines) and bool(expected) and min(deadlines) < _URGENT_SHARE * max(expected)


def _known_sooner(hierarchical: Complexity, peer: Complexity) -> int | None:
    """1 if the hierarchical plan is expected to be over sooner, -1 if the other is, 0 for equals; None if unknown."""
    one, other = hierarchical.expected_s, peer.expected_s
    if one is None or other is None:
        return None
    return (one < other) - (one > other)


def _log(count: int) -> float:
    return log2(max(1, count))
