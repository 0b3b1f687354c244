"""Handing on: what follows from an attempt that offers its task to another skill.

An offer is the last word of an attempt. Once the world has confirmed that the giver did nothing it may not do, it is
accepted (the next attempt is the receiver's and begins where the giver stopped) or refused (it is the giver's again,
who is told why). Every offer of a task counts, so that two agents cannot hand a task to and fro for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from schemas.attempts import Failure
from schemas.events import Payload
from schemas.events import task as tasks
from schemas.expectations import Violation
from schemas.handoff import NOT_ACCEPTED, Handed, Turn

REFUSED = "hand_off_refused"
EXHAUSTED = "hand_offs_exhausted"
KIND = "hand_off"
"""What feedback about an offer is called."""
_NOBODY_TAKES = (NOT_ACCEPTED, "unknown_skill", "unfulfilled")


def after_offer(task: TaskState) -> Payload:
    """The fact that follows from the confirmed offer of the present attempt."""
    finished = task.finished
    assert finished is not None
    assert finished.hand_off is not None
    rule, to, number = task.spec.hand_off, finished.hand_off.to, task.offers + 1
    most = 0 if rule.to == () else rule.most
    if number > most + 1:
        message = f"handed on for the {number}. time, although the giver was told that {_at_most(most)}"
        failure = Failure(code=EXHAUSTED, message=message, hint="a larger hand_off: most in the plan allows more")
        return tasks.TaskFailed(task=task.spec.id, attempt=task.attempt, failure=failure)
    if (why_not := _why_not(task, to, number, most)) is not None:
        return _back(task, skill_of(task), to, why_not, number)
    return tasks.TaskHandedOver(
        task=task.spec.id,
        attempt=task.attempt + 1,
        giver=skill_of(task),
        skill=to,
        why=finished.hand_off.why,
        number=number,
    )


def not_taken(task: TaskState, failure: Failure) -> Payload | None:
    """The way back of an offer that no worker took; None if that is not what the failure says."""
    handed = task.handed
    if handed is None or handed.returned or failure.code not in _NOBODY_TAKES:
        return None
    return _back(task, handed.skill, skill_of(task), failure, task.offers)


def skill_of(task: TaskState) -> str:
    """Who has the task now."""
    return task.skill or task.spec.skill


def _why_not(task: TaskState, to: str, number: int, most: int) -> Failure | None:
    allowed = task.spec.hand_off.to
    if to == skill_of(task):
        return Failure(code=REFUSED, message=f"it was offered to {to!r}, whose skill has it already")
    if allowed == ():
        return Failure(code=REFUSED, message="the plan does not let this task be handed on", hint="finish it, or fail")
    if allowed is not None and to not in (*allowed, task.spec.skill):
        names = ", ".join(allowed)
        return Failure(code=REFUSED, message=f"the plan lets it be handed to {names}, not to {to!r}")
    if number > most:
        message = f"{_at_most(most)}; finish it, or fail"
        return Failure(code=REFUSED, message=message, hint="a larger hand_off: most in the plan allows more")
    return None


def _at_most(most: int) -> str:
    times = {0: "not at all", 1: "once", 2: "twice"}.get(most, f"{most} times")
    return f"this task may be handed on {times}"


def _back(task: TaskState, giver: str, to: str, failure: Failure, number: int) -> tasks.TaskHandedBack:
    return tasks.TaskHandedBack(
        task=task.spec.id, attempt=task.attempt + 1, skill=giver, to=to, failure=failure, number=number
    )


def _handed_over(mission: Mission, fact: Fact, event: tasks.TaskHandedOver) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.READY or event.attempt <= task.attempt:
        return mission  # said before, or too late
    handed = _offer(task)
    return mission if handed is None else _again(mission, task, skill=event.skill, handed=handed, offers=event.number)


def _handed_back(mission: Mission, fact: Fact, event: tasks.TaskHandedBack) -> Mission:
    task = mission.tasks[event.task]
    if task.status is not TaskStatus.READY or event.attempt <= task.attempt:
        return mission
    refused = task.verdict is not None and task.verdict.failure is None
    handed = _offer(task) if refused else task.handed  # else it was accepted, and nobody took it
    if handed is None:
        return mission
    why = f"not handed to {event.to}: {event.failure.message}"
    return _again(
        mission,
        task,
        skill=event.skill,
        handed=handed.model_copy(update={"returned": why}),
        offers=event.number,
        feedback=(Violation(kind=KIND, message=why),),
    )


def _again(mission: Mission, task: TaskState, **changes: Any) -> Mission:
    """The task is free for its next attempt; the one that ended is not counted. What a person answered about the task
    still holds for whoever has it next."""
    plain = {"status": TaskStatus.WAITING, "verdict": None, "finished": None, "feedback": ()}
    fresh = replace(task, forgiven=task.forgiven + 1, **{**plain, **changes})
    mission = agenda.take(mission, agenda.JUDGED, task.spec.id)
    mission = replace(mission, tasks=mission.tasks.set(task.spec.id, fresh))
    return agenda.put(mission, agenda.FREE, [task.spec.id])


def _offer(task: TaskState) -> Handed | None:
    """What the next attempt is told of the offer with which the present one ended."""
    said = task.finished
    if said is None or said.hand_off is None:
        return None
    offer = said.hand_off
    turn = Turn(
        attempt=said.attempt, skill=skill_of(task), agent=said.agent, worker=said.worker, to=offer.to, why=offer.why
    )
    return Handed(
        skill=turn.skill,
        agent=turn.agent,
        worker=turn.worker,
        attempt=turn.attempt,
        why=offer.why,
        notes=offer.notes,
        workspace=said.product,
        onto=offer.onto,
        turns=(*(task.handed.turns if task.handed is not None else ()), turn),
        accept_within_s=task.spec.hand_off.accept_within_s,
    )


HANDINGS: Mapping[type[Payload], Callable[[Mission, Fact, Any], Mission]] = {
    tasks.TaskHandedOver: _handed_over,
    tasks.TaskHandedBack: _handed_back,
}
"""Event type to how it is folded."""
