"""Facts about tasks. Written by orchestrators only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.attempts import Death, Failure
from schemas.ballots import NotChosen, Pick
from schemas.events.base import AttemptPayload, TaskPayload
from schemas.expectations import Expectation, Observation, Violation
from schemas.handoff import Handed
from schemas.plan import OnConflict, Prefer, TaskId, TaskSpec
from schemas.requirements import Value


class TaskReady(AttemptPayload):
    """All that the task needs is there: an attempt may be dispatched."""

    TYPE: ClassVar[str] = "task.ready"
    LOOSE: ClassVar[bool] = True
    skill: str
    intent: str = ""
    inputs: dict[str, Any] = Field(default_factory=dict)
    workspace: dict[str, Any] | None = None
    writes: tuple[str, ...] = ()
    on_conflict: OnConflict = "merge"
    expects: tuple[Expectation, ...] = ()
    priority: int = 5
    timeout_s: float = 600.0
    requires: dict[str, Value] = Field(default_factory=dict)
    prefer: Prefer | None = None
    feedback: tuple[Violation, ...] = Field(default=(), description="what was wrong with the attempt before")
    advice: str = Field(default="", description="what a person said to it")
    needs_met: tuple[str, ...] = Field(default=(), description="behind a barrier: what of its needs was there")
    needs_missing: tuple[str, ...] = Field(default=(), description="behind a barrier: what it begins without")
    handed: Handed | None = Field(default=None, description="from whom it was handed over, with what was made so far")


class TaskSucceeded(AttemptPayload):
    """The attempt counts: it finished, and the world was confirmed to be as expected."""

    TYPE: ClassVar[str] = "task.succeeded"


class TaskChosen(AttemptPayload):
    """Of parallel attempts at one thing, what one came to was taken: it is what this task came to.

    Where they were put together instead (``merge``), ``winner`` is empty, and ``output`` and ``product`` are the whole.
    """

    TYPE: ClassVar[str] = "task.chosen"
    LOOSE: ClassVar[bool] = True
    pick: Pick
    winner: str = ""
    why: str = ""
    score: float | None = None
    others: tuple[NotChosen, ...] = ()
    output: dict[str, Any] | None = None
    product: dict[str, Any] | None = None


class TaskAdopted(AttemptPayload):
    """The task ended as it did in the mission this one was forked from; nothing was executed for it here.

    ``attempt`` is the number it had there. It failed if there is a failure, else it succeeded.
    """

    TYPE: ClassVar[str] = "task.adopted"
    LOOSE: ClassVar[bool] = True
    origin: str = Field(description="the mission")
    origin_task: str
    fingerprint: str
    needs_met: tuple[str, ...] = Field(default=(), description="behind a barrier: what of its needs was there")
    changed: bool = Field(default=False, description="the output is not the recorded one: the fork changed it")
    worker: str = ""
    output: dict[str, Any] = Field(default_factory=dict)
    product: dict[str, Any] | None = None
    observation: Observation = Observation()
    failure: Failure | None = None


class TaskRetried(AttemptPayload):
    """``attempt`` will be made, not before ``not_before``; the reason is the failure of the one before."""

    TYPE: ClassVar[str] = "task.retried"
    not_before: datetime
    failure: Failure
    recovery: str = Field(default="", description="what the rule for its violations says; empty for a plain retry")
    rule: int = Field(default=-1, description="number of that rule, of the task's own and then the mission's")
    feedback: tuple[Violation, ...] = ()
    skill: str = Field(default="", description="another skill that shall try it")


class TaskHandedOver(AttemptPayload):
    """An offer was accepted: ``attempt`` will be made by another skill, from where attempt n-1 stopped.

    It is neither a failure nor a retry. The notes and the workspace stand in the offer, ``attempt.finished``.
    """

    TYPE: ClassVar[str] = "task.handed_over"
    giver: str = Field(description="the skill that had it")
    skill: str = Field(description="the skill that gets it")
    why: str
    number: int = Field(ge=1, description="which offer of this task it is")


class TaskHandedBack(AttemptPayload):
    """An offer was refused, or nobody took it: ``attempt`` goes to the skill that made it, which is told why."""

    TYPE: ClassVar[str] = "task.handed_back"
    skill: str = Field(description="the skill that made the offer and gets the task back")
    to: str = Field(description="the skill it was offered to")
    failure: Failure
    number: int = Field(ge=1, description="which offer of this task it was")


class TaskFailed(AttemptPayload):
    """No further attempt will be made."""

    TYPE: ClassVar[str] = "task.failed"
    failure: Failure
    deaths: tuple[Death, ...] = Field(default=(), description="the workers that were lost over a quarantined task")


class TaskAsked(AttemptPayload):
    """The task waits for a person: its attempt was violated, and the rule says to ask."""

    TYPE: ClassVar[str] = "task.asked"
    question: str
    rule: int = -1
    feedback: tuple[Violation, ...] = ()


class TaskAnswered(AttemptPayload):
    """A person said what to do about a task that waited for it. Nobody can say that what was violated holds."""

    TYPE: ClassVar[str] = "task.answered"
    decision: Literal["retry", "fail"]
    advice: str = ""
    by: str = ""


class TaskStuck(AttemptPayload):
    """The task waits for the planner: its attempt failed, and it is asked for tasks to do instead."""

    TYPE: ClassVar[str] = "task.stuck"
    failure: Failure
    rule: int = Field(default=-1, description="number of the recovery rule; -1: the intent could not become an action")
    feedback: tuple[Violation, ...] = ()


class TaskReplanned(AttemptPayload):
    """The planner's answer: these tasks are done instead, and what ``end`` comes to is what the task comes to.

    Their ids are ``<task>~<how often it was replanned>.<name>``; they need nothing but one another.
    """

    TYPE: ClassVar[str] = "task.replanned"
    LOOSE: ClassVar[bool] = True
    tasks: tuple[TaskSpec, ...]
    end: TaskId = Field(description="the one that needs, directly or through others, all of them")
    by: str = Field(default="", description="the planner")


class TaskSkipped(TaskPayload):
    """The task will not run, because what it needs did not come about."""

    TYPE: ClassVar[str] = "task.skipped"
    reason: str


class TaskCancelled(TaskPayload):
    """The task ends without an outcome; a running attempt is stopped and will not count."""

    TYPE: ClassVar[str] = "task.cancelled"
    reason: str
