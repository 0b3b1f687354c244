"""Facts about attempts. Written by workers only."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.attempts import Failure
from schemas.events.base import AttemptPayload
from schemas.expectations import Observation
from schemas.handoff import HandOff


class AttemptStarted(AttemptPayload):
    """A worker claimed the attempt. The log accepts one such event per attempt: it is the claim.

    Of an attempt that was given to a worker by its dispatch it is only the word that the worker has it: it may come
    without a key, and together with the report.
    """

    TYPE: ClassVar[str] = "attempt.started"
    KEYED: ClassVar[bool] = True
    worker: str
    agent: str
    skill: str = ""
    waited_s: float | None = Field(default=None, ge=0, description="seconds in the queue, from dispatch to claim")

    def key(self) -> str | None:
        return f"{self.task.replace('.', '@')}:{self.attempt}"


class AttemptFinished(AttemptPayload):
    """The attempt ended, with what the agent said (``output``) and what the system saw (``observation``).

    ``handed_off``: the agent offers the task to another skill; ``product`` is what it made so far.
    """

    TYPE: ClassVar[str] = "attempt.finished"
    LOOSE: ClassVar[bool] = True
    worker: str
    agent: str = ""
    skill: str = ""
    outcome: Literal["succeeded", "failed", "cancelled", "timed_out", "handed_off"]
    output: dict[str, Any] = Field(default_factory=dict)
    product: dict[str, Any] | None = Field(default=None, description="snapshot of the workspace afterwards")
    observation: Observation = Observation()
    failure: Failure | None = None
    hand_off: HandOff | None = None

    @property
    def is_offer(self) -> bool:
        """Whether it hands the task on, and says to whom."""
        return self.outcome == "handed_off" and self.hand_off is not None

    @property
    def wants_verdict(self) -> bool:
        """Whether the world has to be compared with what was expected before anything follows."""
        return self.outcome == "succeeded" or self.is_offer


class AttemptVoted(AttemptPayload):
    """An agent votes from within its attempt. It counts once the orchestrator has recorded it as ``ballot.cast``."""

    TYPE: ClassVar[str] = "attempt.voted"
    LOOSE: ClassVar[bool] = True
    worker: str
    agent: str
    ballot: str
    vote: dict[str, Any] = Field(description="choice, ranking or scores, and reason")


class AttemptProgressed(AttemptPayload):
    """How far a long attempt is, for people to watch."""

    TYPE: ClassVar[str] = "attempt.progressed"
    message: str
    fraction: float | None = Field(default=None, ge=0, le=1)
