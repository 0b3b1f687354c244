"""The resource allocator: which queue, and which priority.

A task goes to the queue of its skill, from which the next idle worker takes it. It goes to a queue that only workers of
one *profile* (the same host, labels and versions, and threads or not) read if it has requirements, or if its plan
prefers some workers to others, or limits memory, which threads cannot hold, or if a host with idle workers has its file
tree. All workers of a profile fulfil the same requirements, so whoever takes it may make it
(``docs/decisions/0024-requirements.md``, ``0034-who-gets-it.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.task_queue.scoring import Group, told, weigh
from orchestrator.task_queue.situation import Situation, Worker
from schemas.attempts import Failure
from schemas.candidates import Candidate
from schemas.events.task import TaskReady
from schemas.expectations import MaxMemory
from schemas.plan import Prefer
from schemas.requirements import THREADS, queue_of, spelled, unmet


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where an attempt goes. ``because`` says why, for people; ``candidates`` what spoke for whom, the best first."""

    queue: str
    priority: int
    because: str
    candidates: tuple[Candidate, ...] = ()
    warning: str = ""


_MOST_TOLD = 5
_UNHELD = (
    "max_memory holds for programs in a sandbox only: the workers are threads, where nobody can tell whose memory "
    "it is; stig workers start --pool prefork starts others"
)


def allocate(ready: TaskReady, situation: Situation, waited_s: float, now: float = 0.0) -> Allocation | Failure | None:
    """Choose queue and priority of an attempt.

    A further attempt goes one step before first attempts of the same priority: it has waited already, and what depends
    on it waits too.

    Args:
        now: POSIX seconds, for what was learned of workers: it fades.

    Returns:
        the allocation; or the reason why there can be none; or None if the attempt should wait for a worker.
    """
    offering = situation.offering(ready.skill)
    fitting = [worker for worker in offering if _misses(ready, worker) is None] if ready.requires else offering
    if not fitting:
        hopeless = waited_s > situation.grace_s and not situation.holding_back(ready.skill)
        return _nobody(ready, situation, offering) if hopeless else None
    priority = min(9, ready.priority + (ready.attempt > 1))
    fitting, warning = _current(ready.skill, fitting)
    fitting, apart, unheld = _holding_memory(ready, fitting)
    weighed: list[Candidate] = []
    if ready.requires or warning or apart or _is_choice(ready, situation, fitting):
        weighed = weigh(_groups(ready, situation, fitting), ready.prefer or Prefer(), now)
    why = apart or _why_bound(ready, weighed, warning)
    warning = "; ".join(filter(None, (warning, unheld)))
    if not why:
        busy = sum(1 for worker in offering if worker.running)
        because = f"{len(offering)} workers offer {ready.skill}, {busy} of them busy; priority {priority}"
        return Allocation(queue_of(ready.skill), priority, because, warning=warning)
    best = weighed[0]
    because = (
        f"{len(fitting)} of {len(offering)} workers that offer {ready.skill} {why}; of {len(weighed)} profiles "
        f"{best.profile} on {best.host or 'an unnamed host'} has {told(best)}; priority {priority}"
    )
    queue = queue_of(ready.skill, best.profile)
    situation.plan(queue)
    return Allocation(queue, priority, because, tuple(weighed[:_MOST_TOLD]), warning)


def _current(skill: str, fitting: list[Worker]) -> tuple[list[Worker], str]:
    """Those whose agents stand by the skill; all, and a warning, if none of them does."""
    current = [worker for worker in fitting if skill not in worker.beat.deprecated]
    if current:
        return current, ""
    instead = sorted({worker.beat.deprecated[skill] for worker in fitting} - {""})
    return fitting, f"{skill} is deprecated by everybody who offers it{': ' if instead else ''}{', '.join(instead)}"


def is_bound(ready: TaskReady) -> bool:
    """Whether the task itself says that not everybody with the skill may make it, or should."""
    return bool(ready.requires) or ready.prefer is not None or _limits_memory(ready)


def _limits_memory(ready: TaskReady) -> bool:
    return any(isinstance(one, MaxMemory) for one in ready.expects)


def _holding_memory(ready: TaskReady, fitting: list[Worker]) -> tuple[list[Worker], str, str]:
    """Those that can hold the memory that the task allows, and why the others are left out, if there are others; all,
    and a warning, if none of them can."""
    if not _limits_memory(ready):
        return fitting, "", ""
    holding = [worker for worker in fitting if worker.beat.kind != THREADS]
    if len(holding) == len(fitting):
        return fitting, "", ""
    if holding and all(worker.beat.profile for worker in holding):
        return holding, "can hold its max_memory, which threads cannot", ""
    return fitting, "", _UNHELD


def _is_choice(ready: TaskReady, situation: Situation, fitting: list[Worker]) -> bool:
    """Whether there are several profiles, and something may speak for one. Asked for every task, hence quick."""
    if ready.prefer is None and not situation.experience.warm(ready.workspace):
        return False
    profiles = {worker.beat.profile for worker in fitting}
    return len(profiles) > 1 and "" not in profiles  # nameless ones are of a release that reads no such queues


def _why_bound(ready: TaskReady, weighed: Sequence[Candidate], warning: str) -> str:
    """Why the attempt goes to one profile, in words; empty if whoever is idle first may take it, which is the rule:
    work that is bound late waits least."""
    if ready.requires:
        return f"fulfil {spelled(ready.requires)}"
    if warning:
        return "are left, for it is deprecated"
    if not weighed:
        return ""
    if ready.prefer is not None:
        return "may make it, and the plan says what it prefers"
    warm = [bool(one.terms.get("warm")) for one in weighed]
    # Only while one of them is idle: a warm cache saves less than a place in a queue costs.
    if warm[0] and not all(warm) and weighed[0].terms.get("load", 0.0) > -1.0:
        return "may make it, and some have its workspace"
    return ""


def _groups(ready: TaskReady, situation: Situation, fitting: list[Worker]) -> list[Group]:
    by_profile: dict[str, list[Worker]] = {}
    for worker in fitting:
        by_profile.setdefault(worker.beat.profile, []).append(worker)
    warm = situation.experience.warm(ready.workspace)
    return [
        Group(
            name,
            workers[0].beat.host,
            len(workers),
            situation.assigned(queue_of(ready.skill, name)) + sum(len(worker.running) for worker in workers),
            situation.experience.tally(ready.skill, name),
            workers[0].beat.host in warm,
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
