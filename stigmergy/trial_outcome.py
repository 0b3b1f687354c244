"""What came of one mission, in the numbers by which strategies are compared."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from orchestrator.coordination.paired import Outcome
from orchestrator.core.mission import Mission, MissionStatus, TaskState
from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent
from schemas.events import Payload, parse
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.task import TaskReady
from schemas.events.world import WorldViolated
from stigmergy.missions import MissionFold


def outcome_of(events: Sequence[Event]) -> Outcome:
    """Fold the events of one mission. One that has not ended has not succeeded, and took until its newest event."""
    if not events:
        return Outcome(success=False, duration_s=0.0)
    fold = MissionFold(events[0].tenant, events[0].mission)
    for event in events:
        fold.add(event)
    state, payloads = fold.state, [payload for event in events if (payload := _parsed(event)) is not None]
    models = [payload for payload in payloads if isinstance(payload, LlmCompleted)]
    begun, ended = state.submitted_at or moment_of(events[0]), state.ended_at or moment_of(events[-1])
    return Outcome(
        success=state.status is MissionStatus.COMPLETED,
        duration_s=round((ended - begun).total_seconds(), 6),
        critical_s=round(critical_s(state), 6),
        attempts=sum(isinstance(payload, TaskReady) for payload in payloads),
        violations=sum(len(payload.violations) for payload in payloads if isinstance(payload, WorldViolated)),
        worked_s=round(sum(p.observation.duration_s for p in payloads if isinstance(p, AttemptFinished)), 6),
        tokens=sum(call.tokens_in + call.tokens_out for call in models),
        usd=round(sum(call.cost_usd for call in models), 9),
    )


def critical_s(mission: Mission) -> float:
    """The longest way through the tasks of a mission, in seconds of the attempts that counted."""
    needs: dict[str, set[str]] = {f"group {name}": set() for name in mission.groups}
    for name, task in mission.tasks.items():
        needs[name] = {_node(mission, need) for need in task.spec.needs}
        if (place := mission.branch_of.get(name)) is not None:
            needs[f"group {place[0]}"].add(name)
            needs[name] |= {_node(mission, need) for need in mission.groups[place[0]].spec.needs}
    ends: dict[str, float] = {}
    for name in TopologicalSorter(needs).static_order():
        before = max((ends[need] for need in needs.get(name, ())), default=0.0)
        ends[name] = before + _took(mission.tasks.get(name))
    return max(ends.values(), default=0.0)


def _node(mission: Mission, need: str) -> str:
    return f"group {need}" if need in mission.groups else need


def _took(task: TaskState | None) -> float:
    return task.finished.observation.duration_s if task is not None and task.finished is not None else 0.0


def _parsed(event: Event) -> Payload | None:
    try:
        return parse(event)
    except InvalidEvent:
        return None  # of a release that knows more types; it is no part of these numbers
