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
        self._begun: frozenset[str] | None = None
        self.holders: dict[str, Holder] = {}
        self.steps: deque[tuple[datetime, str]] = deque(maxlen=_MOST_STEPS)

    def take(self, event: Event) -> None:
        """One more event."""
        self._fold.add(event)
        self._view = self._begun = None
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
    def begun_goals(self) -> frozenset[str]:
        """Goals with a task, at any depth below them, that is no longer waiting; and goals that have ended."""
        if self._begun is None:
            self._begun = _begun(self.view)
        return self._begun

    @property
    def ended(self) -> bool:
        return self._fold.state.status.ended


def _begun(view: MissionView) -> frozenset[str]:
    parents = {goal.id: goal.parent for goal in view.goals}
    begun = {goal.id for goal in view.goals if goal.status != "open"}
    for task in view.tasks:
        goal: str | None = task.goal if task.status != "waiting" else None
        while goal is not None and goal not in begun:
            begun.add(goal)
            goal = parents.get(goal)
    return frozenset(begun)
