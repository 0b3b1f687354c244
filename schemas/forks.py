"""A mission that begins where another one was: from which event, with which changes, and what may be taken over."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.attempts import Failure
from schemas.expectations import Observation
from schemas.shape import Shape


class ForkedFrom(Shape):
    """The event from which a mission goes on: the ``at``-th of another one, from 1, and its place in the log."""

    mission: str
    at: int = Field(ge=1)
    sequence: int = 0

    def __str__(self) -> str:
        return f"{self.mission}@{self.at}"


class ForkChange(Shape):
    """One value that is another in the fork: ``task.ID.output``, ``task.ID.output.PATH`` or ``inputs.PATH``."""

    path: str = Field(min_length=1, max_length=1000)
    value: Any = None


class RecordedResult(Shape):
    """What became of a task in another mission: enough to go on as if it had come about here.

    A result counts for a task whose ``fingerprint`` is equal: same skill, intent, inputs, workspace and expectations,
    all resolved. A ``changed`` one counts for its task whatever that was given.
    """

    task: str
    attempt: int = Field(ge=1)
    fingerprint: str
    template: str = Field(default="", description="group and task of the group, for a task of a branch")
    ended: int = Field(default=0, description="number of the event by which it ended there")
    needs_met: tuple[str, ...] = Field(default=(), description="behind a barrier: what of its needs was there")
    changed: bool = False
    worker: str = ""
    output: dict[str, Any] = Field(default_factory=dict)
    product: dict[str, Any] | None = None
    observation: Observation = Observation()
    failure: Failure | None = Field(default=None, description="of a task that failed for good")
