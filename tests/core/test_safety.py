"""Safety constraints: what trips them, once, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from orchestrator.core.facts import Fact
from orchestrator.task_queue.floor import Floor, evolve
from orchestrator.task_queue.safety import Guard, watch
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.base import AttemptPayload
from schemas.events.mission import MissionPlanned, MissionResumed
from schemas.events.tool import ToolCalled
from schemas.events.world import WorldTripped, WorldViolated
from schemas.expectations import Observation
from schemas.plan import Plan
from schemas.safety import Safety

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Safety(
    forbidden_paths=(".github/*", "*.pem"),
    forbidden_commands=("rm", "git push*"),
    forbidden_hosts=("*.example.com", "169.254.169.254"),
    max_cost_per_minute=1.0,
    max_violations=1,
)


class Spent(AttemptPayload):
    """What another release may say of spending."""

    TYPE: ClassVar[str] = "llm.completed"
    cost_usd: float


def called(**parameters: Any) -> ToolCalled:
    return ToolCalled(task="t", attempt=1, tool="x", parameters=parameters, outcome="succeeded", duration_s=0.1)


def changed(*paths: str) -> AttemptFinished:
    seen = Observation(changes=dict.fromkeys(paths, "modified"))
    return AttemptFinished(task="t", attempt=1, worker="w", outcome="succeeded", observation=seen)


SPENT = Spent(task="t", attempt=1, cost_usd=0.6)
VIOLATED = WorldViolated(task="t", attempt=1, violations=())


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ([changed("src/a.py", ".github/ci.yml")], "forbidden_paths: .github/*"),
        ([changed("src/a.py")], None),
        ([called(argv=["/bin/rm", "-rf", "x"])], "forbidden_commands: rm"),
        ([called(argv=["git", "push", "origin"])], "forbidden_commands: git push*"),
        ([called(argv=["/usr/bin/git", "push"])], "forbidden_commands: git push*"),
        ([called(argv=["sh", "-c", "git  push origin"])], "forbidden_commands: git push*"),
        ([called(argv=["git", "status"])], None),
        ([called(url="https://API.example.com:8443/x")], "forbidden_hosts: *.example.com"),
        ([called(host="169.254.169.254")], "forbidden_hosts: 169.254.169.254"),
        ([called(url="https://example.org")], None),
        ([VIOLATED], None),
        ([VIOLATED, VIOLATED], "max_violations: 1"),
        ([SPENT], None),
        ([SPENT, SPENT], "max_cost_per_minute: 1.0"),
    ],
)  # fmt: skip
def test_what_trips(facts: list[Payload], rule: str | None) -> None:
    guard = Guard(rules=RULES)
    for fact in facts:
        guard = watch(guard, fact, NOW)
    assert (guard.breach.rule if guard.breach else None) == rule
    without = Guard()
    for fact in facts:
        without = watch(without, fact, NOW)
    assert without.breach is None


def test_spending_is_a_rate() -> None:
    guard = Guard(rules=RULES)
    for number in range(10):
        guard = watch(guard, Spent(task="t", attempt=1, cost_usd=0.6), NOW + timedelta(seconds=61 * number))
    assert guard.breach is None
    assert len(guard.lately) == 1


def test_it_trips_once_and_again_after_it_was_resumed() -> None:
    floor, count = Floor("t", "m"), 0

    def put(payload: Payload) -> None:
        nonlocal floor, count
        count += 1
        floor = evolve(floor, Fact(payload, NOW, count, f"e{count}"))

    put(MissionPlanned(plan=Plan(safety=RULES), planned_at=NOW))
    put(changed("a.pem"))
    breach = floor.guard.breach
    assert isinstance(breach, WorldTripped)
    assert breach.evidence == {"path": "a.pem", "change": "modified"}
    put(breach)
    assert floor.guard.tripped
    put(changed("b.pem"))
    assert floor.guard.breach is None
    put(MissionResumed())
    assert not floor.guard.tripped
    put(changed("b.pem"))
    assert floor.guard.breach is not None
