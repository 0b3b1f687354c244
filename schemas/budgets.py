"""Budgets: what a mission may spend in all. Pure: everybody who counts, or shows what was counted, counts like this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from schemas.errors import InvalidInput
from schemas.shape import Shape

EXCEEDED = "budget_exceeded"
"""The code of a hold by a budget; the reason of the pause begins with it."""
MOST = 1e15
"""More than anybody spends, and little enough that a cent still counts beside it."""
_Amount = Annotated[float, Field(strict=True, gt=0, le=MOST, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, gt=0, le=MOST)]


class Budget(Shape):
    """What one mission may spend, all its attempts together; a unit that is left out has no limit.

    Attributes:
        cost: US dollars, by what calls of language models cost.
        tokens: of language models, in and out.
        llm_calls: calls of language models.
        tool_calls: calls of tools.
        seconds: of attempts, whether one after the other or side by side.
    """

    cost: _Amount | None = None
    tokens: _Count | None = None
    llm_calls: _Count | None = None
    tool_calls: _Count | None = None
    seconds: _Amount | None = None

    @property
    def limits(self) -> dict[str, float]:
        """Unit to limit, of the units that have one."""
        return {unit: limit for unit in UNITS if (limit := getattr(self, unit)) is not None}

    def amended(self, by: Budget) -> Budget:
        """With the limits of ``by`` in place of one's own."""
        return Budget.model_validate({**self.limits, **by.limits})


UNITS = tuple(Budget.model_fields)


def budget_of(limits: Mapping[str, Any]) -> Budget:
    """The budget with these limits, by unit. Raises :class:`InvalidInput`, naming the unit and what is wrong."""
    for unit in limits:
        if unit not in UNITS:
            raise InvalidInput(f"there is no budget of {str(unit)!r}", hint=f"there are: {', '.join(UNITS)}")
    try:
        return Budget.model_validate(dict(limits))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        unit = str(problem["loc"][0])
        whole = Budget.model_fields[unit].annotation == _Count | None
        hint = f"a budget is {'a whole number' if whole else 'a number'} above 0; without one there is no limit"
        raise InvalidInput(f"a budget of {problem['input']!r} {unit} cannot be", hint=hint) from error


def reached(limits: Mapping[str, float], spent: Mapping[str, float]) -> dict[str, float]:
    """The units of which all that may be spent was, or more; to what was spent."""
    return {unit: spent[unit] for unit, limit in limits.items() if spent.get(unit, 0.0) >= limit}


def told(units: Iterable[str], limits: Mapping[str, float], spent: Mapping[str, float]) -> str:
    """For people: ``cost 2.53 of 2.50, tokens 1,200``."""
    words = (
        f"{unit} {_number(unit, spent.get(unit, 0.0))}"
        + (f" of {_number(unit, limits[unit])}" if unit in limits else "")
        for unit in units
    )
    return ", ".join(words)


def _number(unit: str, amount: float) -> str:
    if unit == "cost":  # to the cent, unless that would hide what was spent
        return f"{amount:,.2f}" if amount >= 1 or round(amount, 2) == amount else f"{amount:.3g}"
    return f"{amount:,.1f}" if unit == "seconds" else f"{amount:,.0f}"
