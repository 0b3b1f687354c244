"""Where missions get their plans from. Templates are one way; a model that writes plans is another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from orchestrator.coordination.complexity import Pace
from schemas.attempts import Failure
from schemas.expectations import Violation
from schemas.handoff import Handed
from schemas.plan import Plan, StrategyWish, TaskSpec


@dataclass(frozen=True, slots=True)
class Impasse:
    """A task that cannot go on as it was planned.

    Attributes:
        objective, workflow, inputs: of the mission.
        task: as it was planned, references unresolved.
        attempt: number of the attempt that failed.
        failure: of what it failed; ``violations`` are empty where the intent could not even become an action.
        wanted: ``smaller_step`` if a recovery rule asks, ``otherwise`` if the intent could not become an action.
        asked: how often the planner was asked about this task before and gave an answer that did not lead on.
        skill: who made that attempt: not that of the plan if the task was handed on, or given to another agent.
        handed: what that attempt went on from, if it was handed on: the notes and the workspace of who had it before.
    """

    tenant: str
    mission: str
    objective: str
    workflow: str
    inputs: Mapping[str, Any]
    task: TaskSpec
    attempt: int
    failure: Failure
    violations: tuple[Violation, ...]
    wanted: Literal["smaller_step", "otherwise"]
    asked: int
    skill: str = ""
    handed: Handed | None = None


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

    async def another_way(self, impasse: Impasse) -> Sequence[TaskSpec]:
        """Tasks to do instead of one that is stuck; none if there is no other way.

        They have short ids of their own (letters, digits, ``-``, ``_``), need nothing but one another, stand behind no
        barrier, and exactly one of them is needed by no other: what it comes to is what the stuck task comes to.
        Their references see what those of the stuck task see, and one another by their short ids. Whatever is raised
        here, and an answer that does not fit, is the reason of which the task then fails. With several orchestrators
        it may be asked more than once about the same impasse, and one of its answers counts.
        """
        ...
