"""What follows from an attempt that failed: a rule for its violations, quarantine, another attempt, the end."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from orchestrator.core.barriers import LONGEST_S
from orchestrator.core.mission import Mission, TaskState
from orchestrator.core.parts import MOST_DEEP, may_be_replaced
from schemas.attempts import Failure
from schemas.errors import UNCOUNTED, LimitExceeded, Stopped
from schemas.events import Payload
from schemas.events.task import TaskAsked, TaskFailed, TaskRetried, TaskStuck
from schemas.expectations import Violation
from schemas.plan import RecoveryRule

WORKER_LOST = "worker_lost"
QUARANTINED = "quarantined"
NO_RULE = -1
_A_MOMENT = timedelta(milliseconds=50)
_NO_TIME = timedelta(milliseconds=1)


def after_failure(mission: Mission, task: TaskState, failure: Failure, now: datetime) -> Payload:
    """The fact that follows from a failed verdict of the present attempt."""
    name, attempt = task.spec.id, task.attempt
    if failure.code in UNCOUNTED:
        not_before = now + (_A_MOMENT if failure.code == Stopped.code else _NO_TIME)
        return TaskRetried(task=name, attempt=attempt + 1, not_before=not_before, failure=failure)
    violations = _differences(task, failure)
    found = rule_for(mission, task, violations)
    if found is not None:
        return _follow(mission, task, failure, violations, *found, now)
    if failure.code == WORKER_LOST and len(task.deaths) >= task.spec.retry.max_deaths:
        return _quarantined(task)
    made, policy = attempt - task.forgiven, task.spec.retry.after(failure.code)
    if not failure.retryable or made >= policy.max_attempts:
        refused = task.verdict is not None and task.verdict.refused and NO_RULE not in task.recovered
        if refused and may_be_replaced(mission, name):
            return TaskStuck(task=name, attempt=attempt, failure=failure, rule=NO_RULE)
        return TaskFailed(task=name, attempt=attempt, failure=failure)
    not_before = now + retry_delay(task, made, failure.code)
    return TaskRetried(task=name, attempt=attempt + 1, not_before=not_before, failure=failure)


def _differences(task: TaskState, failure: Failure) -> tuple[Violation, ...]:
    """What was not as expected; that an attempt was ended at a limit is a difference as well."""
    if task.verdict is not None and task.verdict.violations:
        return task.verdict.violations
    if failure.code == LimitExceeded.code:
        return (Violation(kind="limits", message=failure.message, category="limit_exceeded"),)
    return ()


def rule_for(mission: Mission, task: TaskState, violations: tuple[Violation, ...]) -> tuple[int, RecoveryRule] | None:
    """The first rule that fits one of the violations and was not followed as often as it may be, with its number."""
    categories = {violation.category for violation in violations}
    if not categories:
        return None
    for number, rule in enumerate((*task.spec.recover, *mission.plan.recover)):
        if rule.category in ("any", *categories) and task.recovered.count(number) < rule.times:
            return number, rule
    return None


def retry_delay(task: TaskState, made: int, code: str = "") -> timedelta:
    """How long to wait after ``made`` attempts; see :class:`~schemas.plan.RetryPolicy`."""
    policy = task.spec.retry.after(code)
    longest = min(policy.max_delay_s, LONGEST_S)
    try:
        wanted = policy.delay_s * policy.factor ** (made - 1)
    except OverflowError:
        wanted = longest
    delay = wanted if wanted < longest else longest
    spread = zlib.crc32(f"{task.spec.id}/{task.attempt}".encode()) / 2**32
    return timedelta(seconds=delay * (0.8 + 0.4 * spread))


def _follow(
    mission: Mission,
    task: TaskState,
    failure: Failure,
    violations: tuple[Violation, ...],
    number: int,
    rule: RecoveryRule,
    now: datetime,
) -> Payload:
    name, attempt = task.spec.id, task.attempt
    match rule.do:
        case "fail":
            return TaskFailed(task=name, attempt=attempt, failure=failure)
        case "smaller_step" if may_be_replaced(mission, name):
            return TaskStuck(task=name, attempt=attempt, failure=failure, rule=number, feedback=violations)
        case "smaller_step" | "other_agent" if rule.do == "smaller_step" or not rule.skill:
            lacking = (
                f"it is {MOST_DEEP} steps down already" if rule.do == "smaller_step" else "no other agent is named"
            )
            message = f"{failure.message}; {lacking}"
            return TaskFailed(task=name, attempt=attempt, failure=failure.model_copy(update={"message": message}))
        case "ask":
            question = f"attempt {attempt} is not as expected: {failure.message}"
            return TaskAsked(task=name, attempt=attempt, question=question, rule=number, feedback=violations)
        case _:
            return TaskRetried(
                task=name,
                attempt=attempt + 1,
                not_before=now + retry_delay(task, task.recovered.count(number) + 1),
                failure=failure,
                recovery=rule.do,
                rule=number,
                feedback=() if rule.do == "roll_back" else violations,
                skill=rule.skill,
            )


def _quarantined(task: TaskState) -> TaskFailed:
    who = ", ".join(death.worker for death in task.deaths)
    failure = Failure(
        code=QUARANTINED,
        message=f"{len(task.deaths)} workers were lost over it: {who}",
        hint="their logs say of what; `stig mission retry` tries it again",
    )
    return TaskFailed(task=task.spec.id, attempt=task.attempt, failure=failure, deaths=task.deaths)
