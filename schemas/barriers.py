"""What a task or group that waits for several others waits for: for all of them, for some, or until a time."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.shape import Shape

Since = Literal["first_begun", "mission"]
Rest = Literal["keep", "cancel"]


class Barrier(Shape):
    """When a node with needs begins although not all of them have come about.

    It begins as soon as ``at_least`` of its needs have come about (without a number: all). Once ``until_s`` has
    passed, or nothing of what it needs is still open, ``then_at_least`` are enough. When so many cannot come about any
    more, it is skipped. A need for a group counts once for each branch, which has come about when all its tasks
    succeeded.

    Attributes:
        since: what ``until_s`` is counted from: the moment in which the first of its needs was ready, or the start of
            the mission.
        rest: what becomes of the needs that are still open when it begins: they go on, or they are cancelled unless
            something else still waits for them.
    """

    at_least: int | None = Field(default=None, ge=1, description="enough to begin at any time; none: all")
    until_s: float | None = Field(default=None, gt=0, description="how long it waits for more than then_at_least")
    then_at_least: int = Field(default=1, ge=0, description="enough once the time has passed")
    since: Since = "first_begun"
    rest: Rest = "keep"

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.at_least is None and self.until_s is None:
            raise ValueError("a barrier says at_least, or until, or both")
        # By value: what has been written and read again has all its fields set.
        if self.until_s is None and (self.then_at_least != 1 or self.since != "first_begun"):
            raise ValueError("then_at_least and since only mean something together with until")
        if self.until_s is not None and self.at_least is not None and self.then_at_least > self.at_least:
            raise ValueError("then_at_least is more than at_least")
        return self

    @property
    def fewest(self) -> int | None:
        """With fewer than so many it never begins. None: with fewer than all there are."""
        return self.at_least if self.until_s is None else self.then_at_least
