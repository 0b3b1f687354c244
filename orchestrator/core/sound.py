"""Whether a plan, or what a group unfolds into, hangs together well enough to be folded.

Planning checks plans for people, with messages. Here it is only asked whether a fact can be taken in at all: folding
must never fail, whatever somebody has put on the bus.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.mission import Mission
from schemas.events.mission import MissionExtended
from schemas.plan import ROOT_GOAL, Plan


def plan_fits(plan: Plan) -> bool:
    """Whether all names are there, once, and every goal leads up to the mission."""
    nodes = [*(task.id for task in plan.tasks), *(group.id for group in plan.groups)]
    parents = [(goal.id, goal.parent) for goal in plan.goals] + [(group.id, group.goal) for group in plan.groups]
    known, goals = set(nodes), {ROOT_GOAL, *(name for name, _ in parents)}
    if len(known) < len(nodes) or len(goals) <= len(parents):
        return False
    needs = [need for task in plan.tasks for need in task.needs] + [need for g in plan.groups for need in g.needs]
    return (
        all(need in known for need in needs)
        and all(task.goal in goals for task in plan.tasks)
        and _lead_up(dict(parents))
    )


def _lead_up(parents: Mapping[str, str | None]) -> bool:
    """Whether from every goal the way up ends at the mission."""
    proved = {ROOT_GOAL}
    for name in parents:
        way: list[str] = []
        current: str | None = name
        while current is not None and current not in proved and len(way) <= len(parents):
            way.append(current)
            current = parents.get(current)
        if current not in proved:
            return False
        proved.update(way)
    return True


def extension_fits(mission: Mission, event: MissionExtended) -> bool:
    """Whether these are the branches of a group that has not unfolded, under names that nothing else has."""
    group = mission.groups.get(event.group)
    if group is None or group.branches is not None or group.given_up:
        return False
    wanted = [f"{event.group}.{branch}" for branch in event.branches]
    tasks = {f"{goal}.{task.id}": goal for goal in wanted for task in group.spec.tasks}
    return (
        len(event.items) == len(wanted) == len(set(wanted))
        and [goal.id for goal in event.goals] == wanted
        and all(goal.parent == event.group for goal in event.goals)
        and {task.id: task.goal for task in event.tasks} == tasks
        and len(event.tasks) == len(tasks)
        and all(
            need in tasks or need in mission.tasks or need in mission.groups for t in event.tasks for need in t.needs
        )
        and not any(name in mission.tasks or name in mission.groups for name in tasks)
        and not any(name in mission.goals for name in wanted)
    )
