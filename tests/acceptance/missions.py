"""Missions for the acceptance tests, and what must hold of them afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import msgspec

from schemas.envelope import Event
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import MissionHandle
from stigmergy.missions import MissionView, TaskView


def layered(layers: int = 4, width: int = 10, *, sleep_s: float = 0.1) -> Plan:
    """A graph of echo tasks; each needs two of the layer before, and takes between once and three times ``sleep_s``."""
    tasks = [
        TaskSpec(
            id=f"t{layer}-{place}",
            skill="echo",
            inputs={"sleep_s": sleep_s * (1 + (layer + place) % 3), "me": f"t{layer}-{place}"},
            needs=tuple(f"t{layer - 1}-{(place + step) % width}" for step in (0, 1)) if layer else (),
        )
        for layer in range(layers)
        for place in range(width)
    ]
    return Plan(tasks=tuple(tasks))


def one(skill: str, /, *, attempts: int = 1, timeout_s: float = 60.0, task: str = "only", **inputs: Any) -> Plan:
    """A plan of one task."""
    retry = RetryPolicy(max_attempts=attempts, delay_s=0.05)
    return Plan(tasks=(TaskSpec(id=task, skill=skill, inputs=inputs, timeout_s=timeout_s, retry=retry),))


async def until(
    mission: MissionHandle, wanted: Callable[[Event], bool], *, count: int = 1, within_s: float = 30
) -> Event:
    """The ``count``-th event of a mission that is wanted, as soon as the log has it."""
    async with asyncio.timeout(within_s), aclosing(mission.events()) as events:
        async for event in events:
            count -= wanted(event)
            if count == 0:
                return event
    raise AssertionError("the events of a mission do not end by themselves")


def of(type_: str, task: str | None = None) -> Callable[[Event], bool]:
    """Events of a type, of one task if it is named."""
    return lambda event: event.type == type_ and task in (None, event.subject)


def data(event: Event) -> dict[str, Any]:
    """What an event says."""
    decoded: dict[str, Any] = msgspec.json.decode(event.data)
    return decoded


async def history(mission: MissionHandle) -> list[Event]:
    """All events of a mission so far."""
    return [event async for event in mission.events(follow=False)]


def task(view: MissionView, name: str = "only") -> TaskView:
    """One task of a mission."""
    return next(task for task in view.tasks if task.id == name)


def check_counted_once(events: list[Event], plan: Plan, *, most_attempts: int = 2) -> None:
    """Nothing was lost, nothing was counted twice, nothing began too early."""
    succeeded = Counter(event.subject for event in events if event.type == "task.succeeded")
    assert succeeded == {spec.id: 1 for spec in plan.tasks}
    started = Counter((event.subject, data(event)["attempt"]) for event in events if event.type == "attempt.started")
    assert set(started.values()) == {1}
    attempts = {name: max(attempt for other, attempt in started if other == name) for name in succeeded}
    assert max(attempts.values()) <= most_attempts, attempts
    assert [event.type for event in events].count("mission.completed") == 1
    done: set[str | None] = set()
    needs = {spec.id: set(spec.needs) for spec in plan.tasks}
    for event in events:
        if event.type == "task.succeeded":
            done.add(event.subject)
        if event.type == "attempt.started" and event.subject is not None:
            assert needs[event.subject] <= done, f"{event.subject} began before what it needs"
