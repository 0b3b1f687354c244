"""Facts about the world after an action. Written by task-queue managers only."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from schemas.budgets import EXCEEDED
from schemas.events.base import AttemptPayload, Payload
from schemas.expectations import Violation


class WorldConfirmed(AttemptPayload):
    """Everything expected of the attempt was observed."""

    TYPE: ClassVar[str] = "world.confirmed"
    checks: tuple[str, ...] = ()


class WorldViolated(AttemptPayload):
    """What was observed is not what was expected. The task cannot be done by this attempt."""

    TYPE: ClassVar[str] = "world.violated"
    violations: tuple[Violation, ...]


class WorldTripped(Payload):
    """A safety constraint of the mission was broken, or its budget is spent: what runs is stopped, and nothing begins
    until it is resumed.

    ``spent`` is not empty where it is the budget.
    """

    TYPE: ClassVar[str] = "world.tripped"
    rule: str = Field(description="the constraint, or unit of the budget, and its pattern or bound")
    message: str
    task: str = ""
    attempt: int = 0
    evidence: dict[str, Any] = Field(default_factory=dict)
    spent: dict[str, float] = Field(
        default_factory=dict, description="unit of the budget to what was spent, where that is all that may be"
    )

    @property
    def reason(self) -> str:
        """Why the mission is held."""
        return f"{EXCEEDED if self.spent else 'safety'}: {self.message}"

    def identity(self) -> tuple[str, ...]:
        return (self.rule, self.task, str(self.attempt))

    def about(self) -> str | None:
        return self.task or None


class WorldWarned(Payload):
    """Most of a mission's budget is spent: what is in ``limits``, by unit, of which ``spent`` was. It goes on."""

    TYPE: ClassVar[str] = "world.warned"
    message: str
    limits: dict[str, float]
    spent: dict[str, float]
