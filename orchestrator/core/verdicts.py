"""Folding what is said of attempts: the worker's word, and what came of comparing it with what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskStatus, Verdict
from orchestrator.core.recovery import WORKER_LOST
from schemas.attempts import Death, Failure
from schemas.events import Payload
from schemas.events import action as actions
from schemas.events import attempt as attempts
from schemas.events import world as worlds


def _finished(mission: Mission, fact: Fact, event: attempts.AttemptFinished) -> Mission:
    if not _counts(mission, event) or mission.tasks[event.task].finished is not None:
        return mission  # the first word of an attempt counts
    task = replace(mission.tasks[event.task], finished=event)
    mission = replace(mission, tasks=mission.tasks.set(event.task, task))
    if event.wants_verdict:
        return mission  # its own word; the world has to confirm it
    failure = event.failure or Failure(code=event.outcome, message=f"the attempt {event.outcome.replace('_', ' ')}")
    return _judge(mission, event.task, Verdict(failure))


def _confirmed(mission: Mission, fact: Fact, event: worlds.WorldConfirmed) -> Mission:
    task = mission.tasks.get(event.task)
    if not _counts(mission, event) or task is None or task.finished is None:
        return mission
    return _judge(mission, event.task, Verdict())


def _violated(mission: Mission, fact: Fact, event: worlds.WorldViolated) -> Mission:
    if not _counts(mission, event):
        return mission
    message = "; ".join(violation.message for violation in event.violations)
    retryable = mission.tasks[event.task].spec.retry.on_violation
    failure = Failure(code="violated", message=message, retryable=retryable)
    return _judge(mission, event.task, Verdict(failure, event.violations))


def _action_failed(mission: Mission, fact: Fact, event: actions.ActionExpired | actions.ActionRefused) -> Mission:
    if not _counts(mission, event):
        return mission
    if event.failure.code == WORKER_LOST and isinstance(event, actions.ActionExpired):
        task = mission.tasks[event.task]
        death = Death(attempt=event.attempt, worker=event.worker or "", at=fact.at, message=event.failure.message[:500])
        mission = replace(mission, tasks=mission.tasks.set(event.task, replace(task, deaths=(*task.deaths, death))))
    refused = isinstance(event, actions.ActionRefused)
    return _judge(mission, event.task, Verdict(event.failure, refused=refused))


def _counts(mission: Mission, event: Any) -> bool:
    """Whether a word about an attempt is about the present one, and before its verdict."""
    task = mission.tasks.get(event.task)
    return (
        task is not None and task.status is TaskStatus.READY and task.attempt == event.attempt and task.verdict is None
    )


def _judge(mission: Mission, task: str, verdict: Verdict) -> Mission:
    mission = replace(mission, tasks=mission.tasks.set(task, replace(mission.tasks[task], verdict=verdict)))
    return agenda.put(mission, agenda.JUDGED, [task])


VERDICTS: Mapping[type[Payload], Callable[[Mission, Fact, Any], Mission]] = {
    attempts.AttemptFinished: _finished,
    worlds.WorldConfirmed: _confirmed,
    worlds.WorldViolated: _violated,
    actions.ActionExpired: _action_failed,
    actions.ActionRefused: _action_failed,
}
"""Event type to how it is folded. Only a word about the present attempt, before its verdict, changes anything."""
