"""The fold of budgets: what a mission may spend, and what it has spent.

Limits are looked for where missions carry them: the plan's deadline, and a mapping ``budget`` among the inputs.
Spending is the time of attempts, tool calls, and ``llm.completed`` events, read by the names of their fields, so that
it works before and after that type is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from projections.world.state import Budget, Mission
from schemas.envelope import Event
from schemas.expectations import Observation

TYPES = frozenset({"llm.completed"})
_MOST = 1e15
_FIELDS = {
    "tokens": ("tokens", "total_tokens"),
    "tokens_in": ("tokens_in", "input_tokens", "prompt_tokens"),
    "tokens_out": ("tokens_out", "output_tokens", "completion_tokens"),
    "usd": ("usd", "cost_usd", "cost"),
}


def planned(inputs: Mapping[str, Any]) -> Budget:
    """The limits that a mission's inputs name, by unit."""
    named = inputs.get("budget")
    if not isinstance(named, Mapping):
        return Budget()
    return Budget(limits={str(unit): float(limit) for unit, limit in named.items() if _is_number(limit)})


def limited(budget: Budget, deadline_s: float | None) -> Budget:
    """With the plan's deadline, in seconds of wall time."""
    return budget if deadline_s is None else replace(budget, limits={**budget.limits, "wall_s": deadline_s})


def spent(mission: Mission, event: Event) -> Mission:
    """What a model's answer cost. Raises :class:`~schemas.errors.InvalidEvent` if the data are no JSON object."""
    data = event.data_as_dict()
    cost = {unit: value for unit, names in _FIELDS.items() if (value := _first(data, names)) is not None}
    if "tokens" not in cost:
        cost["tokens"] = cost.get("tokens_in", 0.0) + cost.get("tokens_out", 0.0)
    return add(mission, {"llm_calls": 1.0, **cost})


def worked(mission: Mission, seen: Observation) -> Mission:
    """What an attempt took. One that no longer counts has been paid for, too."""
    return add(mission, {"seconds": seen.duration_s, "tool_calls": float(sum(seen.tools.values()))})


def add(mission: Mission, amounts: Mapping[str, float]) -> Mission:
    """The mission with so much more spent."""
    before = mission.state.budget.spent
    after = {**before, **{unit: round(before.get(unit, 0.0) + more, 9) for unit, more in amounts.items() if more}}
    if after == before:
        return mission
    return replace(mission, state=replace(mission.state, budget=replace(mission.state.budget, spent=after)))


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for source in (data, data.get("usage")):
        if isinstance(source, Mapping):
            for name in names:
                if _is_number(source.get(name)):
                    return float(source[name])
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST
