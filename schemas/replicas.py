"""What replicas of a role tell one another on core NATS, twice a second: ``replicas.<group>``.

Each leads its own missions; what spans missions needs the whole picture. It is about how much, never about who may:
what is a moment old does no harm.
"""

from __future__ import annotations

import msgspec

from schemas.backlog import SkillBacklog
from schemas.ids import token


class OpenTasks(msgspec.Struct, frozen=True):
    """An orchestrator's. ``parts``: of each partition that it leads, by tenant, how many tasks have not ended."""

    who: str
    parts: dict[int, dict[str, int]] = {}


class QueueDemand(msgspec.Struct, frozen=True, array_like=True):
    """What waits for one queue with one priority.

    Attributes:
        weights: by tenant, the sum of the weights of its missions that wait.
    """

    priority: int
    weights: dict[str, float]


class Demand(msgspec.Struct, frozen=True):
    """A task-queue manager's.

    Attributes:
        queues: attempts that were dispatched and nobody has claimed yet, by priority, the highest first.
        claimed: by queue and priority, how many have been claimed since it began.
        assigned: how many of them are in the queues of profiles.
        backlog: by tenant.
    """

    who: str
    queues: dict[str, tuple[QueueDemand, ...]]
    assigned: dict[str, int]
    backlog: dict[str, list[SkillBacklog]]
    claimed: dict[str, dict[int, int]] = {}


def replicas_subject(group: str) -> str:
    """Where the members of a group tell one another."""
    return f"replicas.{token(group, 'group')}"
