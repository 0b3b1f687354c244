"""What one event changed: the difference between two scenes, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestrator.core.mission import BallotState, GoalState, Mission, TaskState
from stigmergy.replaying import AgentState, Scene
from stigmergy.world_panel import WorldFold, shown


class Change(BaseModel):
    """One value that is another now.

    Attributes:
        what: ``mission``, ``goal``, ``task``, ``group``, ``ballot``, ``agent``, ``scratchpad``, or ``world.`` and a
            kind of things.
        name: which one; empty for the mission.
        field: which of its values.
        before: None if it was not there.
    """

    model_config = ConfigDict(frozen=True)

    what: str
    name: str
    field: str
    before: Any = None
    after: Any = None


def changes(before: Scene, after: Scene, world: WorldFold | None = None) -> list[Change]:
    """Everything that differs, the mission first. Costs what changed, not what there is: equal parts are shared."""
    old_world = before.world
    if before.mission.id != after.mission.id:  # the event before was about another mission
        before = before.others.get(after.mission.id, Scene(Mission()))
    old, new = before.mission, after.mission
    return [
        *_of("mission", "", _mission(old), _mission(new)),
        *_maps("goal", old.goals, new.goals, _goal),
        *_maps("group", old.groups, new.groups, lambda group: {"branches": group.branches}),
        *_maps("task", old.tasks, new.tasks, _task),
        *_maps("ballot", old.ballots, new.ballots, _ballot),
        *_maps("agent", before.agents, after.agents, _agent),
        *_maps("scratchpad", before.scratchpads, after.scratchpads, dict),
        *(_of_world(world, old_world, after) if world is not None else ()),
    ]


def _of_world(fold: WorldFold, before: Any, after: Scene) -> Iterator[Change]:
    if before is after.world:
        return
    old, new = (fold.parts(world, after.mission.id) for world in (before, after.world))
    for kind in sorted({*old, *new}):
        yield from _maps(f"world.{kind}", old.get(kind, {}), new.get(kind, {}), _fields_of)


def _fields_of(value: Any) -> dict[str, Any]:
    plain = shown(value)
    return plain if isinstance(plain, dict) else {"value": plain}


def _mission(mission: Mission) -> dict[str, Any]:
    failure = mission.failure.model_dump() if mission.failure is not None else None
    return {
        "status": mission.status.value,
        "objective": mission.objective,
        "workflow": mission.workflow,
        "inputs": mission.inputs,
        "result": mission.result,
        "failure": failure,
        "reason": mission.reason,
    }


def _goal(goal: GoalState) -> dict[str, Any]:
    return {"status": goal.status.value, "total": goal.total, "succeeded": goal.succeeded, "failed": goal.failed}


def _task(task: TaskState) -> dict[str, Any]:
    output = task.finished.output if task.finished is not None else {}
    shown = {"status": task.status.value, "attempt": task.attempt, "reason": task.reason, "output": output}
    other: dict[str, Any] = {"skill": task.skill} if task.skill else {}
    if task.deaths:
        other["deaths"] = [death.worker for death in task.deaths]
    return {**shown, **other}


def _ballot(ballot: BallotState) -> dict[str, Any]:
    terms = ballot.terms
    return {
        "status": ballot.status,
        "round": ballot.round,
        "question": terms.question,
        "choice": ballot.choice,
        "voted": len(ballot.votes),
        "members": len(terms.electorate),
    }


def _agent(agent: AgentState) -> dict[str, Any]:
    return {
        "doing": agent.doing,
        "task": agent.task,
        "attempt": agent.attempt,
        "saying": agent.saying,
        "finished": agent.finished,
        "failed": agent.failed,
    }


def _maps(what: str, old: Mapping[str, Any], new: Mapping[str, Any], shown: Any) -> Iterator[Change]:
    if old is new:
        return
    for name, now in sorted((name, now) for name, now in new.items() if old.get(name) is not now):
        was = old.get(name)
        yield from _of(what, name, {} if was is None else shown(was), shown(now))
    for name in sorted(name for name in old if name not in new):
        yield from _of(what, name, shown(old[name]), {})


def _of(what: str, name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for field in [*new, *(field for field in old if field not in new)]:
        was, now = old.get(field), new.get(field)
        if was != now:
            yield Change(what=what, name=name, field=field, before=was, after=now)
