"""The fold of workers: who is there, what they have in hand, what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from projections.world.state import KEPT_GONE, Agent, AgentStatus, TaskState, World, bounded
from schemas.envelope import Event

DRAINING = "worker.draining"
"""No release of ours writes it yet; who does, says by it that a worker takes no more work."""


def _joined(world: World, event: Event, payload: Any) -> World:
    known = world.agents.get(payload.worker) or Agent(payload.worker)
    agent = replace(
        known,
        status=AgentStatus.EXECUTING if known.running else AgentStatus.READY,
        host=payload.host,
        pid=bounded(payload.pid),
        skills=payload.skills,
        agents=tuple(payload.agents),
        joined_at=event.time,
        reason="",
    )
    return _put(world, agent, event)


def _draining(world: World, event: Event, data: dict[str, Any]) -> World:
    known = world.agents.get(str(data.get("worker", "")))
    if known is None or known.status.gone:
        return world
    return _put(world, replace(known, status=AgentStatus.DRAINING), event)


def _left(world: World, event: Event, payload: Any) -> World:
    return _gone(world, event, payload.worker, AgentStatus.LEFT, payload.reason)


def _lost(world: World, event: Event, payload: Any) -> World:
    return _gone(world, event, payload.worker, AgentStatus.LOST, f"silent for {payload.silent_s:g} s")


def _gone(world: World, event: Event, worker: str, status: AgentStatus, reason: str) -> World:
    known = world.agents.get(worker) or Agent(worker)
    world = _put(world, replace(known, status=status, running=(), reason=reason), event)
    gone = [agent for agent in world.agents.values() if agent.status.gone]
    if len(gone) <= KEPT_GONE:
        return world
    oldest = min(gone, key=lambda agent: (agent.sequence, agent.worker))
    return replace(world, agents=world.agents.delete(oldest.worker))


def worked(world: World, event: Event, payload: Any, task: TaskState, *, counted: bool) -> World:
    """The workers after an event of an attempt; ``task`` is as it was before. Only what counts goes into outcomes.

    What a worker has in hand does not depend on that: it works on an attempt that no longer counts until it stops.
    """
    match event.type:
        case "attempt.started":
            return _busy(world, event, payload)
        case "attempt.finished":
            failed = payload.outcome in ("failed", "timed_out")
            world = _idle(world, event, payload.worker, payload)
            return _outcome(world, event, payload.worker, task.skill, good=False) if counted and failed else world
        case "world.violated" if counted:
            return _outcome(world, event, task.worker, task.skill, good=False)
        case "world.confirmed" if counted and task.word is not None:  # to hand a task on is neither good nor bad
            return _outcome(world, event, task.worker, task.skill, good=True)
        case "action.expired" if counted and payload.worker:
            world = _idle(world, event, payload.worker, payload)
            return _outcome(world, event, payload.worker, task.skill, good=False)
        case _:
            return world


def _busy(world: World, event: Event, payload: Any) -> World:
    known = world.agents.get(payload.worker) or Agent(payload.worker)
    running = (event.mission, payload.task, bounded(payload.attempt))
    if running in known.running:
        return world
    # Who was lost and claims an attempt is there again; nobody says so otherwise.
    back = known.status in (AgentStatus.READY, AgentStatus.LOST)
    status = AgentStatus.EXECUTING if back else known.status
    return _put(world, replace(known, status=status, running=(*known.running, running)), event)


def _idle(world: World, event: Event, worker: str, payload: Any) -> World:
    known = world.agents.get(worker)
    if known is None:
        return world
    ended = (event.mission, payload.task, bounded(payload.attempt))
    running = tuple(one for one in known.running if one != ended)
    status = known.status
    if status is AgentStatus.EXECUTING and not running:
        status = AgentStatus.READY
    return _put(world, replace(known, status=status, running=running), event)


def _outcome(world: World, event: Event, worker: str, skill: str, *, good: bool) -> World:
    known = world.agents.get(worker)
    if known is None:
        return world
    right, wrong = known.outcomes.get(skill, (0, 0))
    counted = (right + 1, wrong) if good else (right, wrong + 1)
    return _put(world, replace(known, outcomes={**known.outcomes, skill: counted}), event)


def _put(world: World, agent: Agent, event: Event) -> World:
    seen = replace(agent, seen_at=event.time, sequence=event.sequence)
    return replace(world, agents=world.agents.set(agent.worker, seen))


FOLDS: dict[str, Callable[[World, Event, Any], World]] = {
    "worker.joined": _joined,
    "worker.left": _left,
    "fleet.lost": _lost,
    DRAINING: _draining,
}
