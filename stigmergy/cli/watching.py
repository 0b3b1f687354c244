"""A mission as it is being watched: its fold, who works on what, and the newest steps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.envelope import moment_of
from stigmergy.cli.sentences import STEPS, sentence
from stigmergy.missions import MissionFold, MissionView

if TYPE_CHECKING:
    from schemas.envelope import Event

_MOST_STEPS = 50


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a task in hand, which attempt it is, and since when."""

    worker: str
    attempt: int
    since: datetime


class Watching:
    """Takes the events of one mission, one by one."""

    def __init__(self, tenant: str, mission: str) -> None:
        self._fold = MissionFold(tenant, mission)
        self._view: MissionView | None = None
        self.holders: dict[str, Holder] = {}
        self.steps: deque[tuple[datetime, str]] = deque(maxlen=_MOST_STEPS)

    def take(self, event: Event) -> None:
        """One more event."""
        self._fold.add(event)
        self._view = None
        if event.type == "attempt.started":
            data = event.data_as_dict()
            self.holders[data["task"]] = Holder(data["worker"], data["attempt"], moment_of(event))
        elif event.type in ("attempt.finished", "action.expired", "task.cancelled"):
            self.holders.pop(event.data_as_dict()["task"], None)
        if event.type in STEPS:
            self.steps.append((moment_of(event), sentence(event)))

    @property
    def view(self) -> MissionView:
        """The mission as it is now; folded into a view once for each change."""
        if self._view is None:
            self._view = self._fold.view()
        return self._view

    @property
    def ended(self) -> bool:
        return self._fold.state.status.ended
