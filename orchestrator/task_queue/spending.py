"""Whether a mission has spent its budget, or most of it. Pure: only what is on record counts, whatever became of it."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.task_queue.safety import Guard
from schemas.budgets import Budget, reached, told
from schemas.events import Payload
from schemas.events.spending import spent_after
from schemas.events.world import WorldTripped, WorldWarned

WARNED_AT = 0.8
"""The share of a limit at which people are warned."""


def spend(guard: Guard, payload: Payload, *, over: bool) -> Guard:
    """The guard after one more fact; ``over``: the mission has ended, so that nothing is left to hold."""
    total = spent_after(guard.total, payload)
    if total is guard.total:
        return guard
    guard = replace(guard, total=total)
    if over or guard.breach is not None or guard.tripped:
        return guard
    return _looked_at(guard, getattr(payload, "task", ""), getattr(payload, "attempt", 0))


def warned(guard: Guard, warning: WorldWarned) -> Guard:
    """The guard of a mission of which it is on record that most of its budget is spent."""
    guard = replace(guard, warned={**guard.warned, **warning.limits}, warning=None)
    return guard if guard.breach is not None or guard.tripped else _looked_at(guard)


def held(guard: Guard, trip: WorldTripped, identifier: str) -> Guard:
    """The guard of a mission of which it is on record, by the event of this id, that it has to stop. Not if it is
    because of a limit that is a larger one by now: its author did not know."""
    guard = replace(guard, breach=None)
    if trip.spent and not reached(guard.limits, trip.spent):
        return guard if guard.tripped else _looked_at(guard)
    return replace(guard, tripped=trip.reason, trip=identifier, warning=None)


def lifted(guard: Guard, budget: Budget | None = None) -> Guard:
    """The guard of a mission that goes on, with other limits where ``budget`` has some. What was spent stays spent:
    one that still has spent all it may trips again before it sends anything."""
    limits = guard.limits if budget is None else {**guard.limits, **budget.limits}
    return _looked_at(replace(guard, limits=limits, breach=None, tripped="", trip=""))


def _looked_at(guard: Guard, task: str = "", attempt: int = 0) -> Guard:
    spent = reached(guard.limits, guard.total)
    if not spent:
        return _to_be_warned(guard)
    limits = {unit: guard.limits[unit] for unit in spent}
    breach = WorldTripped(
        rule=", ".join(f"{unit}: {limit}" for unit, limit in limits.items()),
        message=told(spent, limits, spent),
        task=task,
        attempt=attempt,
        evidence={"limits": limits},
        spent=spent,
    )
    return replace(guard, breach=breach, warning=None)


def _to_be_warned(guard: Guard) -> Guard:
    """With the warning that is due, if one is: once for each unit and each limit that it has had."""
    near = {
        unit: limit
        for unit, limit in guard.limits.items()
        if guard.total.get(unit, 0.0) >= WARNED_AT * limit and guard.warned.get(unit) != limit
    }
    if not near:
        return guard if guard.warning is None else replace(guard, warning=None)
    spent = {unit: guard.total[unit] for unit in near}
    return replace(guard, warning=WorldWarned(message=told(near, near, spent), limits=near, spent=spent))
