"""What travels to a worker: the order to make one attempt."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.expectations import Expectation, Violation
from schemas.handoff import Earlier, Handed
from schemas.safety import Safety
from schemas.shape import Shape


class Action(Shape):
    """The concrete call that an intent became: a tool and its parameters."""

    tool: str = Field(description="the skill's entry point in a worker")
    parameters: dict[str, Any] = Field(default_factory=dict)
    expected_s: float | None = Field(default=None, description="how long such attempts took before")
    resources: dict[str, float] = Field(
        default_factory=dict, description="memory_mb, cpu_s, processes: for its sandbox"
    )


class Given(Shape):
    """To whom an attempt is given by its dispatch, so that nobody need claim it.

    Attributes:
        worker: who alone may make it.
        after: the attempt after whose report it stands by for this, as :func:`spelled` has it: at no other moment
            may it begin.
    """

    worker: str
    after: str


class AttemptOrder(Shape):
    """The order to make one attempt at a task; it is complete, a worker needs nothing else to begin."""

    tenant: str
    mission: str
    task: str
    attempt: int = Field(ge=1)
    skill: str
    action: Action
    workspace: dict[str, Any] | None = None
    onto: tuple[Earlier, ...] = Field(default=(), description="merged into the workspace before the agent begins")
    claims: tuple[str, ...] = Field(
        default=(), description="what no other attempt that serialises may change meanwhile"
    )
    expects: tuple[Expectation, ...] = ()
    timeout_s: float = 600.0
    dispatched_at: datetime | None = Field(default=None, description="when the attempt was given to its queue")
    feedback: tuple[Violation, ...] = Field(default=(), description="what was wrong with the attempt before")
    advice: str = Field(default="", description="what a person said to it")
    handed: Handed | None = None
    safety: Safety = Safety()
    cause: str = Field(default="", description="id of the event that dispatched it")
    given: Given | None = Field(default=None, description="the worker that has it without a claim")
    correlation: str | None = None
    traceparent: str | None = None


def spelled(tenant: str, mission: str, task: str, attempt: int) -> str:
    """What tells an attempt from all others, in one word."""
    return f"{tenant}/{mission}/{task}:{attempt}"


class Failure(Shape):
    """Why an attempt or a task did not succeed."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False


class Death(Shape):
    """A worker that was lost while it had an attempt in hand."""

    attempt: int
    worker: str
    at: datetime
    message: str = ""
