"""Barriers: whether a node that need not wait for everything may begin, and with what.

What a barrier waits for is counted in *units*: a task it needs is one, a group one for each branch, and one that is
unknown before the group has unfolded. The counts are kept in the node's :class:`~orchestrator.core.mission.Tally`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.choosing import may_go
from orchestrator.core.mission import GroupState, Mission, Tally, TaskState, TaskStatus
from schemas.barriers import Barrier
from schemas.plan import ROOT_GOAL, Group, TaskSpec

LONGEST_S = 10 * 365 * 86400.0
"""Deadlines and delays are cut to ten years: the calendar ends before some numbers do."""


class Given(NamedTuple):
    """The units that a node begins with, and those it begins without; in the order of its needs."""

    met: tuple[str, ...]
    missing: tuple[str, ...]


def holds(barrier: Barrier, tally: Tally, *, late: bool = False) -> bool:
    """Whether the node may begin; ``late``: once its time has passed."""
    settled = tally.open == tally.unknown == 0
    if barrier.at_least is None and settled and tally.lost == 0:
        return True
    if barrier.at_least is not None and tally.met >= barrier.at_least:
        return True
    return barrier.until_s is not None and tally.met >= barrier.then_at_least and (settled or late)


def hopeless(barrier: Barrier, tally: Tally) -> str:
    """Why the node will never begin; empty while it may."""
    reach, fewest = tally.met + tally.open, barrier.fewest
    if tally.unknown or fewest is None or reach >= fewest:
        return ""
    return f"only {reach} of {reach + tally.lost} that it needs can come about, and it wants {fewest}"


def tally_of(mission: Mission, spec: TaskSpec | Group) -> Tally | None:
    """The counts of a node with a barrier, from scratch; None for others."""
    if spec.barrier is None:
        return None
    counts = {"met": 0, "lost": 0, "open": 0, "unknown": 0}
    for _, state in _units(mission, spec.needs):
        counts[state] += 1
    begun = [at for need in spec.needs if (at := _begun_at(mission, need)) is not None]
    return Tally(**counts, first=min(begun, default=None))


def given_to(mission: Mission, spec: TaskSpec | Group) -> Given | None:
    """What a node with a barrier would begin with now; None for others."""
    if spec.barrier is None:
        return None
    units = list(_units(mission, spec.needs))
    met = tuple(unit for unit, state in units if state == "met")
    return Given(met, tuple(unit for unit, state in units if state != "met"))


def given_as_recorded(mission: Mission, spec: TaskSpec) -> Given | None:
    """In a fork: the units that the node began with in the origin, if they are all there."""
    wanted = mission.recorded_needs.get(spec.id)
    given = given_to(mission, spec)
    if given is None or wanted is None or not set(wanted) <= set(given.met):
        return None
    rest = {*given.met, *given.missing} - set(wanted)
    return Given(wanted, tuple(unit for unit, _ in _units(mission, spec.needs) if unit in rest))


def settle(mission: Mission, name: str) -> Mission:
    """Put a node with a barrier on the agenda if it is known whether it can begin, else set the timer for it."""
    node = mission.tasks.get(name) or mission.groups[name]
    barrier, tally = node.spec.barrier, node.tally
    if barrier is None or tally is None or not _waits(node):
        return mission
    mission = agenda.drop_timer(mission, agenda.BARRIER, name)
    if isinstance(node, TaskState) and not may_go(mission, node):
        return mission  # a choice, which waits for its members as well
    begun = isinstance(node, TaskState) and node.handed is not None  # what is handed on has waited once
    if begun or node.hopeless or (holds(barrier, tally) and not _as_in_the_origin(mission, name, node)):
        return agenda.put(mission, agenda.FREE if isinstance(node, TaskState) else agenda.UNFOLD, [name])
    due = due_at(mission, node)
    # Only a timer by which something follows: one that had passed without effect would be due for ever.
    if due is None or tally.met < barrier.then_at_least:
        return mission
    return agenda.set_timer(mission, agenda.BARRIER, name, due)


def due_at(mission: Mission, node: TaskState | GroupState) -> datetime | None:
    """When less becomes enough; None where no time is set, or it has not begun to run."""
    barrier, tally = node.spec.barrier, node.tally
    if barrier is None or tally is None or barrier.until_s is None:
        return None
    begun = tally.first if barrier.since == "first_begun" else mission.goals[ROOT_GOAL].begun_at
    return None if begun is None else begun + timedelta(seconds=min(barrier.until_s, LONGEST_S))


def count_end(mission: Mission, need: str, *, met: bool, unknown: bool = False) -> Mission:
    """A unit of ``need`` ended; ``unknown`` if it is a group that will never unfold."""
    for name in mission.dependents.get(need, ()):
        tally = (mission.tasks.get(name) or mission.groups[name]).tally
        if tally is not None:
            changed = replace(
                tally,
                met=tally.met + met,
                lost=tally.lost + (not met),
                open=tally.open - (not unknown),
                unknown=tally.unknown - unknown,
            )
            mission = settle(_with(mission, name, changed), name)
    return mission


def count_begin(mission: Mission, need: str, at: datetime) -> Mission:
    """A need began for the first time: the time of those that wait for it runs."""
    for name in mission.dependents.get(need, ()):
        tally = (mission.tasks.get(name) or mission.groups[name]).tally
        if tally is not None and (tally.first is None or at < tally.first):
            mission = settle(_with(mission, name, replace(tally, first=at)), name)
    return mission


def with_tally[Node: (TaskState, GroupState)](node: Node, tally: Tally) -> Node:
    """The node with other counts."""
    assert node.spec.barrier is not None
    return replace(node, tally=tally, hopeless=hopeless(node.spec.barrier, tally))


def _with(mission: Mission, name: str, tally: Tally) -> Mission:
    if (task := mission.tasks.get(name)) is not None:
        if task.status.ended:
            return mission  # it ran before this need was reopened
        return replace(mission, tasks=mission.tasks.set(name, with_tally(task, tally)))
    return replace(mission, groups=mission.groups.set(name, with_tally(mission.groups[name], tally)))


def _waits(node: TaskState | GroupState) -> bool:
    if isinstance(node, TaskState):
        return node.status is TaskStatus.WAITING
    return node.branches is None and not node.given_up


def _units(mission: Mission, needs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for need in needs:
        if need in mission.tasks:
            yield need, _state_of_task(mission.tasks[need])
        elif (group := mission.groups[need]).branches is None:
            yield need, "lost" if group.given_up else "unknown"
        else:
            for branch in group.branches:
                unit = f"{need}.{branch}"
                yield unit, state_of_branch(mission, need, branch)


def _state_of_task(task: TaskState) -> str:
    if not task.status.ended:
        return "open"
    return "met" if task.status is TaskStatus.SUCCEEDED else "lost"


def state_of_branch(mission: Mission, group: str, branch: str) -> str:
    """``open``, ``met`` or ``lost``. What became of members is for their owners to say."""
    unit = f"{group}.{branch}"
    if mission.goals[unit].pending:
        return "open"
    own = [spec.id for spec in mission.groups[group].spec.tasks if not spec.member_of]
    good = all(mission.tasks[f"{unit}.{name}"].status is TaskStatus.SUCCEEDED for name in own)
    return "met" if good else "lost"


def _begun_at(mission: Mission, need: str) -> datetime | None:
    return mission.tasks[need].started_at if need in mission.tasks else mission.goals[need].begun_at


def _as_in_the_origin(mission: Mission, name: str, node: TaskState | GroupState) -> bool:
    """Whether a fork's task should wait for what it began with in the origin, so that like is compared with like."""
    wanted = mission.recorded_needs.get(name)
    if wanted is None or not isinstance(node, TaskState) or node.attempt > 0:
        return False
    states = dict(_units(mission, node.spec.needs))
    return any(states.get(unit) == "open" for unit in wanted) or "unknown" in states.values()
