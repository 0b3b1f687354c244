"""Putting things on a mission's agenda and taking them off; the order of arrival is kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from orchestrator.core.mission import Mission

JUDGED = "judged"  # a task's attempt has a verdict
FREE = "free"  # a task's needs are all settled
UNFOLD = "unfold"  # a group's needs are all settled
GOAL = "goal"  # a goal may have ended
TRIPPED = "tripped"  # a safety constraint was broken, or the budget is spent; the item is the reason
CAST = "cast"  # a task has said how it votes
SAID = "said"  # an agent has said how it votes; the item is the ballot and the id of the event
COUNT = "count"  # a ballot has an outcome
BARRIER = "barrier"  # the time of a barrier: only ever a timer
REPLAN = "replan"  # a task waits for the planner; advance has nothing to do about it
STOP = "stop"  # a task should end, because its goal or its mission has


def put(mission: Mission, kind: str, ids: Iterable[str]) -> Mission:
    """Add items, each at most once."""
    agenda, tickets = mission.agenda, mission.tickets
    for identifier in ids:
        if (kind, identifier) not in agenda:
            tickets += 1
            agenda = agenda.set((kind, identifier), tickets)
    return mission if tickets == mission.tickets else replace(mission, agenda=agenda, tickets=tickets)


def take(mission: Mission, kind: str, identifier: str) -> Mission:
    """Remove an item; one that is not there is fine."""
    if (kind, identifier) not in mission.agenda:
        return mission
    return replace(mission, agenda=mission.agenda.delete((kind, identifier)))


def forget(mission: Mission, kinds: Iterable[str], timers: Iterable[str], identifier: str, **changes: Any) -> Mission:
    """Remove the items and the timers of these kinds that are there, with other changes of the mission in one go."""
    items, due = mission.agenda, mission.timers
    for kind in kinds:
        if (kind, identifier) in items:
            items = items.delete((kind, identifier))
    for kind in timers:
        if (kind, identifier) in due:
            due = due.delete((kind, identifier))
    return replace(mission, agenda=items, timers=due, **changes)


def in_order(mission: Mission) -> list[tuple[str, str]]:
    """The items, oldest first."""
    return sorted(mission.agenda, key=mission.agenda.__getitem__)


def set_timer(mission: Mission, kind: str, identifier: str, due: datetime) -> Mission:
    """Look at it again at ``due``."""
    return replace(mission, timers=mission.timers.set((kind, identifier), due))


def drop_timer(mission: Mission, kind: str, identifier: str) -> Mission:
    """Forget a timer; one that is not there is fine."""
    if (kind, identifier) not in mission.timers:
        return mission
    return replace(mission, timers=mission.timers.delete((kind, identifier)))
