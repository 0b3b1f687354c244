"""What agents think and do, step by step. Written by workers only."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

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


class AgentRemembered(AttemptPayload):
    """A change of the task's scratchpad; a later attempt begins with all of them folded."""

    TYPE: ClassVar[str] = "agent.remembered"
    field: str
    value: Any = None
