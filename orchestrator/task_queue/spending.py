"""Whether a mission has spent its budget. Pure: only what is on record counts, whatever became of it."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.task_queue.safety import Guard
from schemas.budgets import Budget, reached, told
from schemas.events import Payload
from schemas.events.spending import spent_after
from schemas.events.world import WorldTripped


def spend(guard: Guard, payload: Payload, *, over: bool) -> Guard:
    """The guard after one more fact; ``over``: the mission has ended, so that nothing is left to hold."""
    total = spent_after(guard.total, payload)
    if total is guard.total:
        return guard
    guard = replace(guard, total=total)
    if over or guard.breach is not None or guard.tripped:
        return guard
    return _looked_at(guard, getattr(payload, "task", ""), getattr(payload, "attempt", 0))


def held(guard: Guard, trip: WorldTripped) -> Guard:
    """The guard of a mission of which it is on record that it has to stop. Not if it is because of a limit that is a
    larger one by now: its author did not know."""
    guard = replace(guard, breach=None)
    if trip.spent and not reached(guard.limits, trip.spent):
        return guard if guard.tripped else _looked_at(guard)
    return replace(guard, tripped=trip.reason)


def lifted(guard: Guard, budget: Budget | None = None) -> Guard:
    """The guard of a mission that goes on, with other limits where ``budget`` has some. What was spent stays spent:
    one that still has spent all it may trips again before it sends anything."""
    limits = guard.limits if budget is None else {**guard.limits, **budget.limits}
    return _looked_at(replace(guard, limits=limits, breach=None, tripped=""))


def _looked_at(guard: Guard, task: str = "", attempt: int = 0) -> Guard:
    spent = reached(guard.limits, guard.total)
    if not spent:
        return guard
    limits = {unit: guard.limits[unit] for unit in spent}
    breach = WorldTripped(
        rule=", ".join(f"{unit}: {limit}" for unit, limit in limits.items()),
        message=told(spent, limits, spent),
        task=task,
        attempt=attempt,
        evidence={"limits": limits},
        spent=spent,
    )
    return replace(guard, breach=breach)
