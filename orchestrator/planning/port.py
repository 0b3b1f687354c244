"""Where missions get their plans from. Templates are one way; a model that writes plans is another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from orchestrator.coordination.complexity import Pace
from schemas.plan import Plan, StrategyWish


class Planner(Protocol):
    """Makes plans. Every plan it returns passes :func:`orchestrator.planning.check_plan`."""

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs to record for the mission, defaults filled in. Raises :class:`InvalidWorkflow`."""
        ...

    async def plan(
        self,
        objective: str,
        template_name: str,
        inputs: Mapping[str, Any],
        *,
        strategy: StrategyWish | None = None,
        pace: Pace = ...,
    ) -> Plan:
        """The plan for an objective. Raises :class:`InvalidWorkflow`.

        Args:
            strategy: how the agents shall work together; None leaves it to the template.
            pace: how long attempts of a skill take.
        """
        ...
