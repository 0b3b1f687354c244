"""What tools were called to do. Written by workers only."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.events.base import AttemptPayload


class ToolCalled(AttemptPayload):
    """A tool ran and ended; ``result`` is a short form of what it gave."""

    TYPE: ClassVar[str] = "tool.called"
    LOOSE: ClassVar[bool] = True
    tool: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    outcome: Literal["succeeded", "failed"]
    duration_s: float
    result: dict[str, Any] = Field(default_factory=dict)
