"""What agents think and do, step by step. Written by workers only."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.attempts import Failure
from schemas.events.base import AttemptPayload


class AgentThought(AttemptPayload):
    """A step of reasoning, in the agent's words."""

    TYPE: ClassVar[str] = "agent.thought"
    text: str


class AgentActed(AttemptPayload):
    """A step of work, in the agent's words."""

    TYPE: ClassVar[str] = "agent.acted"
    text: str
    details: dict[str, Any] = Field(default_factory=dict)


class AgentTookOver(AttemptPayload):
    """The acknowledgement of a hand-off: the receiver has the giver's notes, and its workspace with this tree."""

    TYPE: ClassVar[str] = "agent.took_over"
    giver: int = Field(ge=1, description="the attempt that handed the task on")
    tree: str = Field(default="", description="git's id of the tree that the attempt begins with")


class AgentAsked(AttemptPayload):
    """The agent of an attempt asks an agent of another worker; ``request`` names it ever after."""

    TYPE: ClassVar[str] = "agent.asked"
    request: str
    by: str = Field(description="the agent that asks")
    topic: str
    to: str = Field(default="", description="the one agent that is asked; empty for any that answers the topic")
    question: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float

    def identity(self) -> tuple[str, ...]:
        return (self.task, str(self.attempt), self.request)


class AgentAnswered(AttemptPayload):
    """An agent answered a request of this attempt, or failed at it: the word of the worker that was asked."""

    TYPE: ClassVar[str] = "agent.answered"
    request: str
    topic: str
    worker: str
    agent: str
    outcome: Literal["answered", "failed"]
    answer: dict[str, Any] = Field(default_factory=dict)
    failure: Failure | None = None
    duration_s: float = 0.0

    def identity(self) -> tuple[str, ...]:
        return (self.task, str(self.attempt), self.request, self.worker)


class AgentHeard(AttemptPayload):
    """What came of a request: the word of the worker that asked. The attempt went on with the answer of ``worker``.

    ``left``: the attempt ended before.
    """

    TYPE: ClassVar[str] = "agent.heard"
    request: str
    outcome: Literal["answered", "failed", "busy", "unavailable", "left"]
    worker: str = ""
    agent: str = ""
    tries: int = 1
    duration_s: float = 0.0

    def identity(self) -> tuple[str, ...]:
        return (self.task, str(self.attempt), self.request)


class AgentRemembered(AttemptPayload):
    """A change of the task's scratchpad; a later attempt begins with all of them folded."""

    TYPE: ClassVar[str] = "agent.remembered"
    field: str
    value: Any = None
