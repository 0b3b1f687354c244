"""What a barrier with ``rest: cancel`` leaves behind when its node begins: needs that nobody waits for any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.core import agenda
from orchestrator.core.graph import may_unfold
from orchestrator.core.mission import Mission, TaskState


def stop_rest(mission: Mission, name: str) -> Mission:
    """Stop what a node that has begun still has open among its needs, and what only that was for."""
    if not _leaves_the_rest(mission, name):
        return mission
    gone: set[str] = set()
    waiting = list(_tasks_of(mission, _needs(mission, name)))
    while waiting:
        task = waiting.pop()
        if task in gone or mission.tasks[task].status.ended or _is_waited_for(mission, task, gone):
            continue
        gone.add(task)
        waiting += _tasks_of(mission, mission.tasks[task].spec.needs)
    return agenda.put(mission, agenda.STOP, sorted(gone))


def stop_rest_of_all(mission: Mission, names: Iterable[str]) -> Mission:
    """The same for several nodes, of which some may not have begun: new tasks appeared among their needs."""
    for name in sorted(names):
        mission = stop_rest(mission, name)
    return mission


def left_behind_by(mission: Mission, task: str) -> str:
    """The node that began without this task and wanted the rest cancelled; empty if there is none."""
    return next((user for user in sorted(_users(mission, task)) if _leaves_the_rest(mission, user)), "")


def _leaves_the_rest(mission: Mission, name: str) -> bool:
    node = mission.tasks.get(name) or mission.groups[name]
    if node.spec.barrier is None or node.spec.barrier.rest != "cancel":
        return False
    return node.started_at is not None if isinstance(node, TaskState) else node.branches is not None


def _needs(mission: Mission, name: str) -> tuple[str, ...]:
    return (mission.tasks.get(name) or mission.groups[name]).spec.needs


def _tasks_of(mission: Mission, needs: Iterable[str]) -> Iterator[str]:
    for need in needs:
        if need in mission.tasks:
            yield need
        else:
            group = mission.groups[need]
            for branch in group.branches or ():
                yield from (f"{need}.{branch}.{spec.id}" for spec in group.spec.tasks)


def _users(mission: Mission, task: str) -> tuple[str, ...]:
    group = mission.branch_of[task][0] if task in mission.branch_of else ""
    return (*mission.dependents.get(task, ()), *mission.dependents.get(group, ()))


def _is_waited_for(mission: Mission, task: str, gone: set[str]) -> bool:
    for user in _users(mission, task):
        if user in gone or _leaves_the_rest(mission, user):
            continue
        if user in mission.tasks and not mission.tasks[user].status.ended:
            return True
        if user in mission.groups and may_unfold(mission.groups[user]):
            return True
    return False
