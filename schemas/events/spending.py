"""What missions spend, by what is on record: calls of language models and of tools, and the time of attempts."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.budgets import MOST
from schemas.events.attempt import AttemptFinished
from schemas.events.base import Payload
from schemas.events.llm import LlmCompleted
from schemas.events.tool import ToolCalled

SPENDING = (AttemptFinished.TYPE, LlmCompleted.TYPE, ToolCalled.TYPE)
"""The types of events by which something is spent."""


def spent_by(payload: Payload) -> dict[str, float]:
    """Unit to amount; empty for a fact that costs nothing.

    ``cost`` is in US dollars; calls that failed cost as well, and so do attempts that do not count for their tasks.
    Calls count when they are made, the time of an attempt when it has ended: nobody has said before how long it was.
    """
    match payload:
        case LlmCompleted() as call:
            tokens = call.tokens_in + call.tokens_out
            amounts = {"llm_calls": 1, "cost": call.cost_usd, "tokens": tokens}
            return {**amounts, "tokens_in": call.tokens_in, "tokens_out": call.tokens_out}
        case ToolCalled():
            return {"tool_calls": 1}
        case AttemptFinished() as attempt:
            return {"seconds": attempt.observation.duration_s}
        case _:
            return {}


def spent_after[T: Mapping[str, float]](spent: T, payload: Payload) -> T | dict[str, float]:
    """What was spent after one more fact; the same object if it costs nothing."""
    # Whatever somebody has put on a bus: what is no amount counts as nothing, what nobody can spend as very much.
    amounts = {unit: float(min(more, MOST)) for unit, more in spent_by(payload).items() if more > 0}
    if not amounts:
        return spent
    # Rounded, so that a thousand times a tenth of a cent is what one would expect.
    return {**spent, **{unit: round(spent.get(unit, 0) + more, 9) for unit, more in amounts.items()}}
