"""What several task-queue managers want of the same queues, and what each may have of them. Pure.

A queue is served in the order of its messages. So if every manager keeps messages there in proportion to what is due to
its missions, they are served in that proportion: the turns that one manager would give them
(:mod:`orchestrator.task_queue.fairness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from orchestrator.task_queue.floor import Floor, Stage
from schemas.backlog import SkillBacklog
from schemas.replicas import QueueDemand


def demand_of(floors: Iterable[Floor]) -> dict[str, QueueDemand]:
    """What these missions want, by queue."""
    weights: dict[tuple[str, int], dict[str, float]] = {}
    for floor in floors:
        waiting = {
            (opened.queue, opened.priority) for opened in floor.attempts.values() if opened.stage is Stage.DISPATCHED
        }
        for place in waiting:
            by_tenant = weights.setdefault(place, {})
            by_tenant[floor.tenant] = by_tenant.get(floor.tenant, 0.0) + floor.weight
    highest: dict[str, QueueDemand] = {}
    for (queue, priority), by_tenant in weights.items():
        if queue not in highest or highest[queue].priority < priority:
            highest[queue] = QueueDemand(priority, by_tenant)
    return highest


def share_of(
    mine: QueueDemand | None, others: Sequence[QueueDemand], tenant_weight: Callable[[str], float] = lambda _: 1.0
) -> float:
    """Which part of a queue is due to a manager, from 0 to 1; over all managers that want something the sum is 1.

    Only the highest priority counts. Tenants share by their weights, within a tenant missions share by theirs.

    Args:
        mine: what it wants; None if it has only just begun to.
        others: what each of the others wants that wants something.
    """
    if not others:
        return 1.0
    if mine is None:
        return 1.0 / (1 + len(others))
    top = max(mine.priority, *(one.priority for one in others))
    if mine.priority < top:
        return 0.0
    wanted: dict[str, float] = {}
    for one in (mine, *others):
        if one.priority == top:
            for tenant, weight in one.weights.items():
                wanted[tenant] = wanted.get(tenant, 0.0) + weight
    whole = sum(tenant_weight(tenant) for tenant in wanted)
    return sum(tenant_weight(tenant) * weight / wanted[tenant] for tenant, weight in mine.weights.items()) / whole


def together(parts: Iterable[Iterable[SkillBacklog]]) -> list[SkillBacklog]:
    """The backlogs of several managers as one. All of them know of all workers."""
    whole: dict[str, SkillBacklog] = {}
    for one in (each for part in parts for each in part):
        known = whole.get(one.skill, SkillBacklog(one.skill))
        whole[one.skill] = SkillBacklog(
            one.skill,
            known.ready + one.ready,
            known.queued + one.queued,
            known.running + one.running,
            max(known.oldest_s, one.oldest_s),
            known.missions + one.missions,
            max(known.workers, one.workers),
        )
    return [whole[skill] for skill in sorted(whole)]
