"""Missions for the benchmark of the world model: each task is made ready, dispatched, claimed, reported, confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.attempts import Action, AttemptOrder
from schemas.envelope import Event
from schemas.events import Payload
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.enveloping import envelop
from schemas.events.mission import MissionPlanned, MissionSubmitted
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.events.worker import WorkerJoined
from schemas.events.world import WorldConfirmed
from schemas.expectations import FilesChangedWithin, Observation
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec

_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
_WAVE = 100
_WORKERS = 4


def make_events(tenant: str, *, missions: int, tasks: int) -> list[Event]:
    """Six events a task in waves of a hundred, numbered from 1. Every fourth task runs three tests."""
    events: list[Event] = []
    for number in range(_WORKERS):
        joined = WorkerJoined(worker=f"w{number}", host="h", pid=number, skills=("code", "test"))
        events.append(_event(joined, tenant, "_"))
    for number in range(missions):
        mission = f"m{number}-{uuid7()}"
        events += [_event(payload, tenant, mission) for payload in _mission(tenant, mission, tasks)]
    return [msgspec.structs.replace(event, sequence=place) for place, event in enumerate(events, 1)]


def _event(payload: Payload, tenant: str, mission: str) -> Event:
    return envelop(payload, id=uuid7(), source="/benchmark", at=_AT, tenant=tenant, mission=mission)


def _mission(tenant: str, mission: str, tasks: int) -> Iterator[Payload]:
    yield MissionSubmitted(objective="benchmark", workflow="none")
    names = [f"task-{number}" for number in range(tasks)]
    yield MissionPlanned(plan=Plan(tasks=tuple(TaskSpec(id=name, skill="code") for name in names)), planned_at=_AT)
    for start in range(0, tasks, _WAVE):
        wave = list(enumerate(names[start : start + _WAVE], start))
        for _, name in wave:
            yield TaskReady(task=name, attempt=1, skill="code", workspace=_product(0))
        for number, name in wave:
            yield ActionDispatched(task=name, attempt=1, order=_order(tenant, mission, name, number), queue="stig.code")
        for number, name in wave:
            yield AttemptStarted(task=name, attempt=1, worker=f"w{number % _WORKERS}", agent="coder")
        for number, name in wave:
            yield AttemptFinished(
                task=name,
                attempt=1,
                worker=f"w{number % _WORKERS}",
                outcome="succeeded",
                product=_product(number // 50),
                observation=_seen(number),
            )
        for _, name in wave:
            yield WorldConfirmed(task=name, attempt=1)
        for _, name in wave:
            yield TaskSucceeded(task=name, attempt=1)


def _order(tenant: str, mission: str, task: str, number: int) -> AttemptOrder:
    expects = (FilesChangedWithin(patterns=(f"src/{number % 300}/*",)),)
    action = Action(tool="code", parameters={"number": number})
    return AttemptOrder(
        tenant=tenant, mission=mission, task=task, attempt=1, skill="code", action=action, expects=expects
    )


def _seen(number: int) -> Observation:
    path = f"src/{number % 300}/file.py"
    cases = [{"id": f"tests/test_{number % 50}.py::test_{case}", "outcome": "passed"} for case in range(3)]
    tests: dict[str, Any] | None = {"outcome": "passed", "passed": 3, "cases": cases} if number % 4 == 0 else None
    return Observation(
        changes={path: "modified"}, contents={path: f"{number:040x}"}, tests=tests, duration_s=0.1, tools={"edit": 1}
    )


def _product(number: int) -> dict[str, Any]:
    return {"tree": f"{number:040x}", "packs": ["sha256:" + "0" * 64], "files": 300, "size_bytes": 90_000}
