"""What is said of budgets on a command line: ``--budget cost=2.50``."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.budgets import UNITS, budget_of
from schemas.errors import InvalidInput


def limits_of(said: Sequence[str]) -> dict[str, float]:
    """Unit to limit. Raises :class:`InvalidInput` for what is none."""
    limits: dict[str, float] = {}
    for one in said:
        unit, equals, amount = one.partition("=")
        if not equals:
            raise InvalidInput(
                f"{one!r} is no budget", hint=f"write --budget UNIT=LIMIT; the units: {', '.join(UNITS)}"
            )
        if unit in limits:
            raise InvalidInput(f"the budget of {unit} was given twice", hint="leave one of them out")
        limits[unit] = _number(unit, amount)
    budget_of(limits)
    return limits


def _number(unit: str, amount: str) -> float:
    for kind in (int, float):
        try:
            return kind(amount)
        except ValueError:
            continue
    raise InvalidInput(f"{amount!r} is no number", hint=f"for instance --budget {unit}=2.5")
