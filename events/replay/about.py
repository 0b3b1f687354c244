"""What a replay has to know of an event without folding it: whose it is, and whether something went wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from events.replay.slices import moment_or_never
from schemas.envelope import Event

ERRORS = frozenset(
    {"task.failed", "world.violated", "mission.failed", "workspace.conflicted", "action.expired", "attempt.finished"}
)
"""Types that are errors; ``attempt.finished`` is one only by its outcome."""

_WENT_WRONG = ("failed", "timed_out")
_NOBODY = ("", "")


class _Data(msgspec.Struct):
    # Anybody may put anything on a bus: the values are looked at before they are believed.
    task: Any = None
    attempt: Any = None
    agent: Any = None
    worker: Any = None
    outcome: Any = None


_decoder = msgspec.json.Decoder(_Data)


class About(msgspec.Struct, frozen=True):
    """Empty where the event says nothing of it.

    Attributes:
        moment: when it happened at its source; the epoch if the event has no readable time.
        agent, worker: who made the attempt that the event is about.
        error: whether it says that something went wrong.
    """

    moment: datetime
    task: str = ""
    attempt: int = 0
    agent: str = ""
    worker: str = ""
    error: bool = False


class Registrar:
    """Takes the events of missions in order: whose an attempt is was said when it started."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, str, int], tuple[str, str]] = {}

    def about(self, event: Event) -> About:
        """What is known of it. Never fails."""
        moment = moment_or_never(event)
        try:
            data = _decoder.decode(event.data)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
            return About(moment, error=event.type in ERRORS and event.type != "attempt.finished")
        task, agent, worker = _text(data.task), _text(data.agent), _text(data.worker)
        attempt = data.attempt if isinstance(data.attempt, int) else 0
        if event.type == "attempt.started":
            self._holders[event.mission, task, attempt] = agent, worker
        known = self._holders.get((event.mission, task, attempt), _NOBODY)
        wrong = event.type in ERRORS and (event.type != "attempt.finished" or data.outcome in _WENT_WRONG)
        return About(moment, task, attempt, agent or known[0], worker or known[1], wrong)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
