"""Facts about actions, which intents became. Written by task-queue managers only."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.attempts import AttemptOrder, Failure
from schemas.candidates import Candidate
from schemas.events.base import AttemptPayload


class ActionDispatched(AttemptPayload):
    """The intent became an action, what it must bring about is on record, and the attempt goes to a queue, or to the
    worker that it is given to.

    The event is written before the message is sent: what is not on the log does not happen.
    """

    TYPE: ClassVar[str] = "action.dispatched"
    order: AttemptOrder
    queue: str
    priority: int = 5
    because: str = Field(default="", description="why this queue and this priority")
    candidates: tuple[Candidate, ...] = Field(default=(), description="between whom there was a choice, best first")
    warning: str = Field(default="", description="what somebody should mend, such as a skill that is deprecated")

    def identity(self) -> tuple[str, ...]:
        """Two managers that give the attempt to different workers say different things: the log takes one of them."""
        given = self.order.given
        return (*super().identity(), *((given.worker, given.after) if given is not None else ()))


class ActionRefused(AttemptPayload):
    """The intent cannot become an action: no worker has the skill, or the parameters do not fit."""

    TYPE: ClassVar[str] = "action.refused"
    failure: Failure


class ActionExpired(AttemptPayload):
    """The attempt's lease ended: its worker was lost, or it ran past its time. Its late word will not count."""

    TYPE: ClassVar[str] = "action.expired"
    worker: str | None = None
    failure: Failure
