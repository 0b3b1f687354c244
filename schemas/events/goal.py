"""Facts about goals, the parts of an objective. Written by orchestrators only."""

from __future__ import annotations

from typing import ClassVar

from schemas.attempts import Failure
from schemas.events.base import Payload


class _GoalPayload(Payload):
    goal: str

    def identity(self) -> tuple[str, ...]:
        return (self.goal,)

    def about(self) -> str | None:
        return self.goal


class GoalAchieved(_GoalPayload):
    """Everything required below the goal has come about."""

    TYPE: ClassVar[str] = "goal.achieved"


class GoalFailed(_GoalPayload):
    """The goal is given up: too many failures, or its deadline passed."""

    TYPE: ClassVar[str] = "goal.failed"
    failure: Failure
