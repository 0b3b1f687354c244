"""What several task-queue managers want of the same queues, and what each may have of them. Pure.

A queue is served in the order of its messages. So if every manager keeps messages there in proportion to what is due to
its missions, they are served in that proportion: the turns that one manager would give them
(:mod:`orchestrator.task_queue.fairness`). Redis serves higher priorities before all others, though; so managers tell
one another as well how many attempts were claimed with which priority, and whoever's message has lost a turn to them
moves it to the front (:mod:`orchestrator.task_queue.sent`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator.task_queue.fairness import PRIORITY_STEP, turns_of
from orchestrator.task_queue.floor import Floor, Stage
from schemas.backlog import SkillBacklog
from schemas.replicas import QueueDemand


def demand_of(floors: Iterable[Floor]) -> dict[str, tuple[QueueDemand, ...]]:
    """What these missions want, by queue, the highest priority first."""
    weights: dict[tuple[str, int], dict[str, float]] = {}
    for floor in floors:
        waiting = {
            (opened.queue, opened.priority) for opened in floor.attempts.values() if opened.stage is Stage.DISPATCHED
        }
        for place in waiting:
            by_tenant = weights.setdefault(place, {})
            by_tenant[floor.tenant] = by_tenant.get(floor.tenant, 0.0) + floor.weight
    wanted: dict[str, tuple[QueueDemand, ...]] = {}
    for (queue, priority), by_tenant in sorted(weights.items(), reverse=True):
        wanted[queue] = (*wanted.get(queue, ()), QueueDemand(priority, by_tenant))
    return wanted


def share_of(
    mine: Sequence[QueueDemand],
    others: Sequence[Sequence[QueueDemand]],
    tenant_weight: Callable[[str], float] = lambda _: 1.0,
    step: float = PRIORITY_STEP,
) -> float:
    """Which part of a queue is due to a manager, from 0 to 1; over all managers that want something the sum is 1.

    Priorities share by their turns, within one of them tenants by their weights, within a tenant missions by theirs.

    Args:
        mine: what it wants; nothing if it has only just begun to.
        others: what each of the others wants that wants something.
        step: how many times the turns of the priority below each priority has.
    """
    if not others:
        return 1.0
    if not mine:
        return 1.0 / (1 + len(others))
    wanted: dict[int, dict[str, float]] = {}
    for one in (each for part in (mine, *others) for each in part):
        level = wanted.setdefault(one.priority, {})
        for tenant, weight in one.weights.items():
            level[tenant] = level.get(tenant, 0.0) + weight
    due = sum(turns_of(one.priority, step) * _part_of(one, wanted[one.priority], tenant_weight) for one in mine)
    return due / sum(turns_of(priority, step) for priority in wanted)


def _part_of(one: QueueDemand, level: Mapping[str, float], tenant_weight: Callable[[str], float]) -> float:
    """Which part of all that waits with its priority is due to this."""
    whole = sum(tenant_weight(tenant) for tenant in level)
    return sum(tenant_weight(tenant) * weight / level[tenant] for tenant, weight in one.weights.items()) / whole


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
