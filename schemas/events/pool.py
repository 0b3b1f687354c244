"""What scalers decide about pools of workers. Written by scalers only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import Payload


class PoolScaled(Payload):
    """A skill gets another number of workers from its scaler. ``term`` fences: of a later one, the earlier is void."""

    TYPE: ClassVar[str] = "pool.scaled"
    skill: str
    before: int
    after: int
    reason: str
    term: int

    def identity(self) -> tuple[str, ...]:
        return (self.skill, str(self.term))

    def about(self) -> str | None:
        return self.skill
