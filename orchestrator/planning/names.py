"""Whether the names in a plan are each there once, mean one thing, and belong to a goal that exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.planning.findings import Finding, Path, suggestion
from orchestrator.planning.graph import find_cycle, shown_cycle
from orchestrator.planning.targets import INPUTS, ITEM
from schemas.plan import ROOT_GOAL, Group, Plan

TASKS_CAP = 10_000


def name_findings(plan: Plan) -> Iterator[Finding]:
    """Too few or too many tasks, names that are there twice, and names that hide others."""
    count = len(plan.tasks) + sum(len(group.tasks) for group in plan.groups)
    if count == 0:
        yield Finding(("tasks",), "the workflow is empty", "give it at least one task: tasks: {hello: {skill: echo}}")
    if count > TASKS_CAP:
        mend = "use a group for what is done to many things, or several missions"
        yield Finding(("tasks",), f"{count} tasks, more than {TASKS_CAP}", mend)
    tasks, groups = [task.id for task in plan.tasks], [group.id for group in plan.groups]
    yield from _twice("task", tasks, ("tasks",))
    yield from _twice("group", groups, ("groups",))
    yield from _taken(groups, set(tasks), ("groups",), "there is a task of that name")
    yield from _taken([*tasks, *groups], {INPUTS}, ("tasks",), f"${{{INPUTS}}} means the inputs of the mission")
    outer = {*tasks, *groups}
    for group in plan.groups:
        yield from _inside(group, outer)


def _inside(group: Group, outer: set[str]) -> Iterator[Finding]:
    path: Path = ("groups", group.id)
    if not group.tasks:
        yield Finding(path, f"group {group.id!r} has no tasks", "give it at least one task under 'tasks'")
    siblings = [task.id for task in group.tasks]
    yield from _twice("task", siblings, (*path, "tasks"))
    yield from _taken(siblings, outer, (*path, "tasks"), "a task or group outside has that name")
    yield from _taken(siblings, {ITEM, INPUTS}, (*path, "tasks"), "it has a meaning of its own in references")
    if group.variable in {*outer, *siblings, INPUTS}:
        message = f"the variable {group.variable!r} of group {group.id!r} shadows what else is called so"
        yield Finding((*path, "as"), message, "choose another name with 'as'")


def goal_findings(plan: Plan) -> Iterator[Finding]:
    """Goals that are there twice, lie below nothing, or below themselves; tasks that serve a goal that is not there."""
    goals = [goal.id for goal in plan.goals]
    yield from _twice("goal", goals, ("goals",))
    yield from _taken(goals, {ROOT_GOAL}, ("goals",), "it is the goal above all others")
    yield from _taken([group.id for group in plan.groups], set(goals), ("groups",), "a goal has that name already")
    known = {*goals, ROOT_GOAL}
    parents: dict[str, tuple[str, ...]] = {}
    for goal in plan.goals:
        parents[goal.id] = (goal.parent,) if goal.parent in set(goals) else ()
        if goal.parent is None:
            yield Finding(
                ("goals", goal.id, "parent"), f"goal {goal.id!r} has no parent", f"the topmost is {ROOT_GOAL!r}"
            )
        elif goal.parent not in known:
            yield _unknown_goal(("goals", goal.id, "parent"), goal.parent, known)
    cycle = find_cycle(parents)
    if cycle is not None:
        yield Finding(("goals", cycle[0]), f"goals lie below themselves: {shown_cycle(cycle)}", "change one 'parent'")
    yield from _goals_served(plan, known)


def _goals_served(plan: Plan, known: set[str]) -> Iterator[Finding]:
    places: list[tuple[Path, str]] = [(("tasks", task.id, "goal"), task.goal) for task in plan.tasks]
    for group in plan.groups:
        places.append((("groups", group.id, "goal"), group.goal))
        for task in group.tasks:
            if task.goal != ROOT_GOAL:
                message = f"task {task.id!r} of group {group.id!r} serves the goal of its branch"
                mend = f"give the goal to the group: goal: {task.goal}"
                yield Finding(("groups", group.id, "tasks", task.id, "goal"), message, mend)
    for path, goal in places:
        if goal not in known:
            yield _unknown_goal(path, goal, known)


def _unknown_goal(path: Path, goal: str, known: set[str]) -> Finding:
    return Finding(path, f"no goal is called {goal!r}", suggestion(goal, known))


def _twice(kind: str, ids: Iterable[str], path: Path) -> Iterator[Finding]:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            yield Finding((*path, id_), f"two {kind}s are called {id_!r}", "rename one of them", at_key=True)
        seen.add(id_)


def _taken(ids: Iterable[str], taken: set[str], path: Path, why: str) -> Iterator[Finding]:
    for id_ in ids:
        if id_ in taken:
            yield Finding((*path, id_), f"{id_!r} cannot be used here: {why}", "rename it", at_key=True)
