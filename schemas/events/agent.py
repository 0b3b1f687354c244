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


class AgentRemembered(AttemptPayload):
    """A change of the task's scratchpad; a later attempt begins with all of them folded."""

    TYPE: ClassVar[str] = "agent.remembered"
    field: str
    value: Any = None
