"""The resource allocator: which queue, and which priority.

A task without requirements goes to the queue of its skill, from which the next idle worker takes it. One with
requirements goes to a queue that only workers of one *profile* read: the same host, labels and versions. All workers of
a profile fulfil the same requirements, so whoever takes it may make it (``docs/decisions/0024-requirements.md``).
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.task_queue.situation import Situation, Worker
from schemas.attempts import Failure
from schemas.events.task import TaskReady
from schemas.requirements import queue_of, spelled, unmet


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where an attempt goes. ``because`` says why, for people."""

    queue: str
    priority: int
    because: str


@dataclass(frozen=True, slots=True)
class _Group:
    """The workers of one profile, and what speaks for them."""

    profile: str
    host: str
    workers: int
    assigned: int
    success: float

    @property
    def load(self) -> float:
        """Attempts that wait for these workers or run there, for each of them."""
        return self.assigned / self.workers


def allocate(ready: TaskReady, situation: Situation, waited_s: float) -> Allocation | Failure | None:
    """Choose queue and priority of an attempt.

    A further attempt goes one step before first attempts of the same priority: it has waited already, and what depends
    on it waits too.

    Returns:
        the allocation; or the reason why there can be none; or None if the attempt should wait for a worker.
    """
    offering = situation.offering(ready.skill)
    fitting = [worker for worker in offering if _misses(ready, worker) is None] if ready.requires else offering
    if not fitting:
        hopeless = waited_s > situation.grace_s and not situation.holding_back(ready.skill)
        return _nobody(ready, situation, offering) if hopeless else None
    priority = min(9, ready.priority + (ready.attempt > 1))
    if ready.requires:
        return _constrained(ready, situation, offering, fitting, priority)
    busy = sum(1 for worker in offering if worker.beat.running)
    because = f"{len(offering)} workers offer {ready.skill}, {busy} of them busy; priority {priority}"
    return Allocation(queue_of(ready.skill), priority, because)


def _constrained(
    ready: TaskReady, situation: Situation, offering: list[Worker], fitting: list[Worker], priority: int
) -> Allocation:
    groups = _groups(ready.skill, situation, fitting)
    # The least loaded first; among equals who did best at the skill, and then by name, so that all managers agree.
    chosen = min(groups, key=lambda group: (round(group.load, 1), -round(group.success, 2), group.profile))
    because = (
        f"{len(fitting)} of {len(offering)} workers that offer {ready.skill} fulfil {spelled(ready.requires)}; "
        f"of {len(groups)} profiles {chosen.profile} on {chosen.host or 'an unnamed host'} has the least to do "
        f"({chosen.load:.1f} attempts a worker, {chosen.success:.0%} expected to succeed); priority {priority}"
    )
    queue = queue_of(ready.skill, chosen.profile)
    situation.plan(queue)
    return Allocation(queue, priority, because)


def _groups(skill: str, situation: Situation, fitting: list[Worker]) -> list[_Group]:
    by_profile: dict[str, list[Worker]] = {}
    for worker in fitting:
        by_profile.setdefault(worker.beat.profile, []).append(worker)
    return [
        _Group(
            name,
            workers[0].beat.host,
            len(workers),
            situation.assigned(queue_of(skill, name)) + sum(len(worker.beat.running) for worker in workers),
            situation.tally(skill, name).expected_rate,
        )
        for name, workers in sorted(by_profile.items())
    ]


def _misses(ready: TaskReady, worker: Worker) -> str | None:
    beat = worker.beat
    if not beat.profile:  # of a release that reads no such queues
        return spelled(ready.requires)
    return unmet(ready.requires, beat.labels, beat.host, beat.versions.get(ready.skill, "1"))


def _nobody(ready: TaskReady, situation: Situation, offering: list[Worker]) -> Failure:
    if offering:
        missing = sorted({_misses(ready, worker) or "" for worker in offering})
        return Failure(
            code="unfulfilled",
            message=f"none of the {len(offering)} workers that offer {ready.skill!r} fulfils {', '.join(missing)}",
            hint="start one that does: stig workers start --label NAME=VALUE",
        )
    on_offer = ", ".join(situation.skills()) or "none at all"
    return Failure(
        code="unknown_skill",
        message=f"no worker offers the skill {ready.skill!r}; skills on offer: {on_offer}",
        hint=f"start one: stig workers start --skills {ready.skill}, with --import for agents of your own",
    )
