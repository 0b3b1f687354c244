"""The fold of budgets: what a mission may spend, and what it has spent."""

from __future__ import annotations

from msgspec.structs import replace

from projections.world.state import Budget, Mission
from schemas.events import Payload
from schemas.events.mission import MissionResumed
from schemas.events.spending import SPENDING, spent_after
from schemas.plan import Plan

TYPES = frozenset(SPENDING)


def planned(plan: Plan) -> Budget:
    """The limits that a plan names, by unit; its deadline is one of wall time, in seconds."""
    limits = plan.budget.limits
    return Budget(limits if plan.deadline_s is None else {**limits, "wall_s": plan.deadline_s})


def resumed(mission: Mission, payload: MissionResumed) -> Mission:
    """With the limits that hold from now on."""
    budget = mission.state.budget
    if not payload.budget.limits:
        return mission
    budget = replace(budget, limits={**budget.limits, **payload.budget.limits})
    return replace(mission, state=replace(mission.state, budget=budget))


def spent(mission: Mission, payload: Payload) -> Mission:
    """The mission after one more fact by which something is spent."""
    before = mission.state.budget.spent
    after = spent_after(before, payload)
    if after is before:
        return mission
    return replace(mission, state=replace(mission.state, budget=replace(mission.state.budget, spent=after)))
