"""The planner that fills in templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator.coordination.complexity import Pace
from orchestrator.planning.findings import suggestion
from orchestrator.planning.port import Impasse
from orchestrator.planning.template import Template
from schemas.errors import InvalidWorkflow
from schemas.plan import Plan, StrategyWish, TaskSpec


class TemplatePlanner:
    """A :class:`~orchestrator.planning.port.Planner` over a fixed set of templates.

    Args:
        templates: by name, such as :func:`~orchestrator.planning.builtin.builtin_templates` gives them.
        known_skills: what workers can do; None accepts every skill.
    """

    def __init__(
        self,
        templates: Mapping[str, Template],
        known_skills: Collection[str] | None = None,
    ) -> None:
        self._templates = dict(templates)
        self._known_skills = known_skills

    def template(self, name: str) -> Template:
        """The template of that name. Raises :class:`InvalidWorkflow`, naming those there are."""
        template = self._templates.get(name)
        if template is None:
            mend = suggestion(name, self._templates, "no templates are installed")
            raise InvalidWorkflow(f"no workflow is called {name!r}", hint=mend)
        return template

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs to record for the mission, defaults filled in. Raises :class:`InvalidWorkflow`."""
        return self.template(template_name).complete(inputs)

    async def plan(
        self,
        objective: str,
        template_name: str,
        inputs: Mapping[str, Any],
        *,
        strategy: StrategyWish | None = None,
        pace: Pace = lambda _skill: None,
    ) -> Plan:
        """The plan of the template. The objective is for people here; templates do not read it."""
        template = self.template(template_name)
        return template.plan(inputs, known_skills=self._known_skills, strategy=strategy, pace=pace)

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        """What the plan itself says: the task's ``smaller_step`` or ``otherwise``."""
        return impasse.task.smaller_step if impasse.wanted == "smaller_step" else impasse.task.otherwise
