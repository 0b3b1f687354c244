"""Facts about missions. Written by orchestrators only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from schemas.attempts import Failure
from schemas.budgets import Budget
from schemas.events.base import Payload
from schemas.forks import ForkChange, ForkedFrom, RecordedResult
from schemas.plan import GoalSpec, Plan, TaskSpec


class MissionSubmitted(Payload):
    """An objective was accepted."""

    TYPE: ClassVar[str] = "mission.submitted"
    objective: str
    workflow: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    submitted_by: str = ""
    forked_from: ForkedFrom | None = None


class MissionForked(Payload):
    """What a fork changed of its origin, and what it may take over from there instead of executing it."""

    TYPE: ClassVar[str] = "mission.forked"
    LOOSE: ClassVar[bool] = True
    origin: ForkedFrom
    changes: tuple[ForkChange, ...] = ()
    rerun: tuple[str, ...] = ()
    fresh: bool = Field(default=False, description="nothing is taken over that was recorded after the event")
    results: tuple[RecordedResult, ...] = ()


class MissionPlanned(Payload):
    """The plan that the mission will follow."""

    TYPE: ClassVar[str] = "mission.planned"
    plan: Plan
    planned_at: datetime


class MissionExtended(Payload):
    """A group unfolded: its items became known, and goals and tasks were added to the plan."""

    TYPE: ClassVar[str] = "mission.extended"
    group: str
    branches: tuple[str, ...]
    items: tuple[Any, ...] = ()
    goals: tuple[GoalSpec, ...]
    tasks: tuple[TaskSpec, ...]

    def identity(self) -> tuple[str, ...]:
        return (self.group,)


class MissionPaused(Payload):
    """No further task becomes ready until the mission is resumed; what runs goes on."""

    TYPE: ClassVar[str] = "mission.paused"
    reason: str = ""


class MissionResumed(Payload):
    """A paused mission goes on."""

    TYPE: ClassVar[str] = "mission.resumed"
    budget: Budget = Field(default=Budget(), description="limits from now on; units that are left out keep theirs")


class MissionReopened(Payload):
    """A mission that had failed goes on: the named tasks get new attempts."""

    TYPE: ClassVar[str] = "mission.reopened"
    tasks: tuple[str, ...]


class MissionCompleted(Payload):
    """All required goals are achieved and no violation is open."""

    TYPE: ClassVar[str] = "mission.completed"
    LOOSE: ClassVar[bool] = True
    result: dict[str, Any] = Field(default_factory=dict)


class MissionFailed(Payload):
    """A required goal failed."""

    TYPE: ClassVar[str] = "mission.failed"
    failure: Failure


class MissionCancelled(Payload):
    """Somebody asked for the mission to end."""

    TYPE: ClassVar[str] = "mission.cancelled"
    reason: str = ""


BEGINNINGS = (MissionSubmitted.TYPE, MissionReopened.TYPE)
ENDS = (MissionCompleted.TYPE, MissionFailed.TYPE, MissionCancelled.TYPE)


def is_open(types: Mapping[str, int]) -> bool:
    """Whether a mission is open, by how many events it has of each of :data:`BEGINNINGS` and :data:`ENDS`."""
    return sum(types.get(each, 0) for each in BEGINNINGS) > sum(types.get(each, 0) for each in ENDS)
