"""How much may be open before whoever submits missions is told to slow down, or is refused. Pure.

What counts is the tenant's tasks that have not ended, whether they wait for others, for a worker, or run: they are what
an orchestrator and a task-queue manager hold in memory, and what a new mission will compete with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.mission import Mission
from schemas.commands import SubmitMission
from schemas.errors import Busy
from schemas.plan import ROOT_GOAL
from schemas.replicas import OpenTasks


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


def tasks_by_tenant(missions: Iterable[Mission]) -> dict[str, int]:
    """How many tasks of these missions have not ended, by tenant."""
    counts: dict[str, int] = {}
    for mission in missions:
        root = None if mission.status.ended else mission.goals.get(ROOT_GOAL)
        if root is not None and root.pending:
            counts[mission.tenant] = counts.get(mission.tenant, 0) + root.pending
    return counts


def load_of(tenant: str, here: Mapping[int, Mapping[str, int]], said: Iterable[OpenTasks]) -> int:
    """How many tasks of a tenant are open in all partitions. Each counts once, also while it changes hands: both its
    leaders may speak of it, or one may lead it of whom the other has not heard yet.

    Args:
        here: by partition that is led here, and by tenant.
        said: by the other orchestrators; of a partition that several speak of, the last one is believed.
    """
    known: dict[int, Mapping[str, int]] = {}
    for word in said:
        known |= word.parts
    return sum(counts.get(tenant, 0) for counts in {**known, **here}.values())
