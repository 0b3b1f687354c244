"""The task-queue managers together: what one knows of what the others want, have sent and have waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from events.leadership.group import Group
from events.signals import Signals
from orchestrator.peers import Peers
from orchestrator.task_queue.demand import demand_of, share_of, together
from orchestrator.task_queue.floor import Floor
from orchestrator.task_queue.situation import Situation
from schemas.backlog import SkillBacklog
from schemas.replicas import Demand, QueueDemand

_MOST_QUEUES = 500


class Managers:
    """This manager among the others of its group.

    Args:
        floors: gives the missions at hand.
        backlog: gives what waits and runs in those of a tenant.
        passed: told of a queue, a priority and how many attempts of others were claimed there with it.
        tenant_weight: the share of a tenant among all.
        priority_step: how many times the turns of the priority below each priority has.
    """

    def __init__(
        self,
        signals: Signals,
        group: Group,
        floors: Callable[[], list[Floor]],
        backlog: Callable[[str], list[SkillBacklog]],
        situation: Situation,
        passed: Callable[[str, int, int], None],
        *,
        tenant_weight: Callable[[str], float],
        priority_step: float,
    ) -> None:
        self._group = group
        self._floors, self._backlog, self._situation = floors, backlog, situation
        self._passed = passed
        self._tenant_weight, self._priority_step = tenant_weight, priority_step
        self._peers = Peers(signals, group, Demand, self._say, self._heard)
        self._mine: dict[str, tuple[QueueDemand, ...]] = {}
        self._claimed: dict[str, dict[int, int]] = {}
        self._heard_of: dict[str, dict[str, dict[int, int]]] = {}

    async def run(self) -> None:
        """Tell and hear, until cancelled."""
        await self._peers.run()

    def share(self, queue: str) -> float:
        """Which part of a queue is due to this manager; called from the sender's thread as well."""
        others = [said.queues[queue] for said in self._peers.said if queue in said.queues]
        return share_of(self._mine.get(queue, ()), others, self._tenant_weight, self._priority_step)

    def claimed(self, queue: str, priority: int) -> None:
        """Take note that an attempt of a mission at hand was claimed; the others hear of it."""
        if queue not in self._claimed and len(self._claimed) >= _MOST_QUEUES:
            self._claimed.clear()  # queues of profiles that have long left; what others missed costs a turn or two
        counts = self._claimed.setdefault(queue, {})
        counts[priority] = counts.get(priority, 0) + 1

    def backlog(self, tenant: str, here: list[SkillBacklog]) -> list[SkillBacklog]:
        """What waits and runs in all missions of a tenant."""
        return together([here, *(said.backlog.get(tenant, []) for said in self._peers.said)])

    def _say(self) -> Demand:
        floors = self._floors()
        self._mine = demand_of(floors)
        backlog = {tenant: self._backlog(tenant) for tenant in sorted({floor.tenant for floor in floors})}
        return Demand(self._group.who, self._mine, self._situation.assigned_here(), backlog, self._claimed)

    def _heard(self) -> None:
        elsewhere: dict[str, int] = {}
        for said in self._peers.said:
            for queue, count in said.assigned.items():
                elsewhere[queue] = elsewhere.get(queue, 0) + count
        self._situation.elsewhere = elsewhere
        before, self._heard_of = self._heard_of, {said.who: said.claimed for said in self._peers.said}
        for who, counts in self._heard_of.items():
            # Sums, so that a word that was not heard does no harm. What was claimed before the first one is history.
            for queue, priority, count in _more(counts, before.get(who, counts)):
                self._passed(queue, priority, count)


def _more(now: dict[str, dict[int, int]], before: dict[str, dict[int, int]]) -> Iterator[tuple[str, int, int]]:
    for queue, counts in now.items():
        known = before.get(queue, {})
        for priority, count in counts.items():
            if count > known.get(priority, 0):
                yield queue, priority, count - known.get(priority, 0)
