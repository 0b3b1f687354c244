"""How much may be open before whoever submits missions is told to slow down, or is refused. Pure.

What counts is the tenant's tasks that have not ended, whether they wait for others, for a worker, or run: they are what
an orchestrator and a task-queue manager hold in memory, and what a new mission will compete with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.core.mission import Mission
from schemas.commands import SubmitMission
from schemas.errors import Busy
from schemas.plan import ROOT_GOAL


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for the open tasks of a tenant.

    Attributes:
        busy_above: beyond it submitters are told, and those who asked for it are refused.
        refuse_above: beyond it everybody is refused; None for never.
    """

    busy_above: int = 50_000
    refuse_above: int | None = None

    def check(self, load: int, command: SubmitMission) -> None:
        """Raises :class:`Busy` if the submission may not go now."""
        refuse = self.refuse_above is not None and load > self.refuse_above
        if not refuse and (command.if_busy == "go" or load <= self.busy_above):
            return
        bound = self.refuse_above if refuse else self.busy_above
        raise Busy(
            f"{load:,} tasks are open, more than {bound:,}",
            hint="submit it later, or start more workers; stig workers list shows what waits",
        )


def open_tasks(missions: Iterable[Mission]) -> int:
    """How many tasks of these missions have not ended."""
    roots = (mission.goals.get(ROOT_GOAL) for mission in missions if not mission.status.ended)
    return sum(root.pending for root in roots if root is not None)
