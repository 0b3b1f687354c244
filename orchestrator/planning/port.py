"""Where missions get their plans from. Templates are one way; a model that writes plans is another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from schemas.plan import Plan


class Planner(Protocol):
    """Makes plans. Every plan it returns passes :func:`orchestrator.planning.check_plan`."""

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs to record for the mission, defaults filled in. Raises :class:`InvalidWorkflow`."""
        ...

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any]) -> Plan:
        """The plan for an objective. Raises :class:`InvalidWorkflow`."""
        ...
