"""What language models were asked, and what it cost. Written by workers only."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.events.base import AttemptPayload


class LlmCompleted(AttemptPayload):
    """A call of a language model ended; tokens and cost are what its provider counted, also for a call that failed."""

    TYPE: ClassVar[str] = "llm.completed"
    model: str
    agent: str = ""
    tool: str = Field(default="", description="the tool that asked, if one did")
    outcome: Literal["succeeded", "failed"] = "succeeded"
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    cost_usd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    duration_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
