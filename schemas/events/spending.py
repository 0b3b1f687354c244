"""What missions spend, by what is on record: calls of language models and of tools, and the time of attempts.

``cost`` is in US dollars; calls that failed cost as well, and so do attempts that do not count for their tasks. Calls
count when they are made, the time of an attempt when it has ended: nobody has said before how long it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.budgets import MOST
from schemas.events.attempt import AttemptFinished
from schemas.events.base import Payload
from schemas.events.llm import LlmCompleted
from schemas.events.tool import ToolCalled

type Amounts = tuple[tuple[str, float], ...]
"""Units and how much of each."""


def _asked(call: LlmCompleted) -> Amounts:
    tokens = (("tokens", call.tokens_in + call.tokens_out), ("tokens_in", call.tokens_in))
    return (("llm_calls", 1), ("cost", call.cost_usd), *tokens, ("tokens_out", call.tokens_out))


def _called(_call: ToolCalled) -> Amounts:
    return (("tool_calls", 1),)


def _worked(attempt: AttemptFinished) -> Amounts:
    return (("seconds", attempt.observation.duration_s),)


_SPENT: dict[type[Payload], Callable[[Any], Amounts]] = {
    LlmCompleted: _asked,
    ToolCalled: _called,
    AttemptFinished: _worked,
}
SPENDING = tuple(kind.TYPE for kind in _SPENT)
"""The types of events by which something is spent."""


def spent_after[T: Mapping[str, float]](spent: T, payload: Payload) -> T | dict[str, float]:
    """What was spent after one more fact, by unit; the same object if it costs nothing."""
    spends = _SPENT.get(type(payload))
    if spends is None:
        return spent
    after: dict[str, float] | None = None
    for unit, more in spends(payload):
        # Whatever somebody has put on a bus: what is no amount counts as nothing, what nobody can spend as very much.
        if more > 0:
            after = dict(spent) if after is None else after
            # Rounded, so that a thousand times a tenth of a cent is what one would expect.
            after[unit] = round(after.get(unit, 0.0) + min(more, MOST), 9)
    return spent if after is None else after
