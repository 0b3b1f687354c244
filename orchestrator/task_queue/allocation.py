"""The resource allocator: which queue, and which priority."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.task_queue.situation import Situation
from schemas.attempts import Failure
from schemas.events.task import TaskReady


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where an attempt goes. ``because`` says why, for people."""

    queue: str
    priority: int
    because: str


def queue_of(skill: str) -> str:
    """The Celery queue of a skill."""
    return f"stig.{skill}"


def allocate(ready: TaskReady, situation: Situation, waited_s: float) -> Allocation | Failure | None:
    """Choose queue and priority of an attempt.

    A further attempt goes one step before first attempts of the same priority: it has waited already, and what depends
    on it waits too.

    Returns:
        the allocation; or the reason why there can be none; or None if the attempt should wait for a worker.
    """
    offering = situation.offering(ready.skill)
    if not offering:
        hopeless = waited_s > situation.grace_s and not situation.holding_back(ready.skill)
        return _nobody(ready, situation) if hopeless else None
    priority = min(9, ready.priority + (ready.attempt > 1))
    busy = sum(1 for worker in offering if worker.beat.running)
    because = f"{len(offering)} workers offer {ready.skill}, {busy} of them busy; priority {priority}"
    return Allocation(queue_of(ready.skill), priority, because)


def _nobody(ready: TaskReady, situation: Situation) -> Failure:
    on_offer = ", ".join(situation.skills()) or "none at all"
    return Failure(
        code="unknown_skill",
        message=f"no worker offers the skill {ready.skill!r}; skills on offer: {on_offer}",
        hint=f"start one: stig workers start --skills {ready.skill}, with --import for agents of your own",
    )
