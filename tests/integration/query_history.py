"""A recorded history of two tenants over 31 hours, and what the query templates have to say of it, by plain Python."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from schemas.envelope import Event, rfc3339
from schemas.ids import uuid7

BEGIN = datetime(2026, 3, 1, 21, 50, tzinfo=UTC)
UNTIL = BEGIN + timedelta(hours=29, minutes=41, seconds=30)
SINCE = {
    "a whole day between": BEGIN + timedelta(minutes=17, seconds=20),
    "hours and minutes alone": BEGIN + timedelta(hours=2, minutes=17, seconds=20),
}
"""Beginnings of what is asked about: rollups by the day count for the first and not for the second."""
MINE, THEIRS = "acme", "umbrella"
SKILLS = ("edit", "test", "review")


@dataclass(frozen=True)
class Fact:
    """An event with its time and payload at hand."""

    at: datetime
    type: str
    tenant: str
    mission: str
    data: dict[str, Any]

    def event(self) -> Event:
        return Event(
            id=uuid7(), source="/test", type=self.type, time=rfc3339(self.at), tenant=self.tenant,
            mission=self.mission, subject=self.data.get("task"), data=msgspec.Raw(msgspec.json.encode(self.data)),
        )  # fmt: skip


def history(missions: int = 90) -> list[Fact]:
    """The same every time. In the order in which a log would have them."""
    chance = random.Random(11)
    facts: list[Fact] = []
    for number in range(missions):
        tenant = THEIRS if number % 4 == 3 else MINE
        facts += _mission(chance, tenant, uuid7())
    return sorted(facts, key=lambda fact: fact.at)


def _mission(chance: random.Random, tenant: str, mission: str) -> list[Fact]:
    at = BEGIN + timedelta(seconds=chance.uniform(0, 30 * 3600))
    facts: list[Fact] = []

    def add(after_s: float, kind: str, **data: Any) -> None:
        nonlocal at
        at = (at + timedelta(seconds=after_s)).replace(microsecond=chance.randrange(1_000_000))
        facts.append(Fact(at, kind, tenant, mission, data))

    add(0, "mission.submitted", objective="o", workflow=chance.choice(["repair", "hello"]))
    if chance.random() < 0.1:
        return facts
    add(1, "mission.planned", plan={}, planned_at=rfc3339(at))
    failed = False
    for number in range(chance.randrange(1, 5)):
        failed = _attempt(chance, add, f"{SKILLS[number % 3]}-{number}", SKILLS[number % 3]) or failed
    if chance.random() < 0.9:
        failure = {"failure": {"code": "goal_failed", "message": "m"}}
        add(1, *(("mission.failed",) if failed else ("mission.completed",)), **(failure if failed else {"result": {}}))
    return facts


def _attempt(chance: random.Random, add: Callable[..., None], task: str, skill: str) -> bool:
    about = {"task": task, "attempt": 1}
    worker, agent = f"w{chance.randrange(3)}", f"{skill}or"
    outcome = chance.choices(("succeeded", "failed", "timed_out", "cancelled"), (80, 12, 5, 3))[0]
    add(1, "task.ready", **about, skill=skill)
    add(1, "action.dispatched", **about, order={"skill": skill}, queue=skill)
    waited_s = round(chance.expovariate(0.5), 6)
    add(2, "attempt.started", **about, worker=worker, agent=agent, skill=skill, waited_s=waited_s)
    for _ in range(chance.randrange(3)):
        add(
            1, "tool.called", **about, tool=chance.choice(["pytest", "ruff"]),
            outcome=chance.choices(("succeeded", "failed"), (9, 1))[0], duration_s=round(chance.expovariate(2), 6),
        )  # fmt: skip
        add(
            1, "llm.completed", **about, model=chance.choice(["large", "small"]), agent=agent,
            tool=chance.choice(["", "ask"]), tokens_in=chance.randrange(9000), tokens_out=chance.randrange(900),
            cost_usd=round(chance.random() / 50, 6), duration_s=round(chance.expovariate(1), 6),
        )  # fmt: skip
    failure = {"failure": {"code": chance.choice(["boom", "bang"]), "message": "m"}} if outcome == "failed" else {}
    add(
        3, "attempt.finished", **about, worker=worker, agent=agent, skill=skill, outcome=outcome, **failure,
        observation={"duration_s": round(chance.expovariate(0.2), 6)},
    )  # fmt: skip
    add(
        1,
        "task.succeeded" if outcome == "succeeded" else "task.skipped",
        **about,
        **({} if outcome == "succeeded" else {"reason": "r"}),
    )
    return outcome != "succeeded"


class Judge:
    """What is right, for one tenant, from some time to UNTIL: whole minutes or, where a query says so, whole hours."""

    def __init__(self, facts: Sequence[Fact], since: datetime) -> None:
        self.all = [fact for fact in facts if fact.tenant == MINE]
        self.minutes = [f for f in self.all if _minute(since) <= _minute(f.at) < UNTIL]
        self.hours = [f for f in self.all if _hour(since) <= _hour(f.at) < UNTIL]
        self.window = {"since": since.isoformat(), "until": UNTIL.isoformat()}

    def trends(self, key: Callable[[str], str], bucket_s: int) -> dict[tuple[datetime, str], int]:
        return dict(Counter((_floor(fact.at, bucket_s), key(fact.type)) for fact in self.minutes))

    def groups(self, kind: str, key: str, facts: Iterable[Fact] | None = None) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for fact in self.minutes if facts is None else facts:
            if fact.type == kind:
                found[fact.mission if key == "mission" else fact.data[key]].append(
                    {**fact.data, "at": fact.at, "mission": fact.mission}
                )
        return dict(found)

    def spent(self, key: str, facts: Iterable[Fact]) -> dict[str, tuple[int, int, int, Decimal]]:
        return {
            name: (
                len(calls),
                sum(each["tokens_in"] for each in calls),
                sum(each["tokens_out"] for each in calls),
                sum((Decimal(str(each["cost_usd"])) for each in calls), Decimal(0)),
            )
            for name, calls in self.groups("llm.completed", key, facts).items()
        }

    def funnel(self) -> dict[str, int]:
        counts = Counter(fact.type for fact in self.hours)
        started = {fact.mission for fact in self.hours if fact.type == "attempt.started"}
        names = ("submitted", "planned", "completed", "failed", "cancelled")
        return {"started": len(started), **{name: counts[f"mission.{name}"] for name in names}}


def nearest_rank(values: Sequence[float], level: float) -> float:
    """The value at or above which the share of ``level`` lies."""
    ranked = sorted(values)
    return ranked[min(int(level * len(ranked)), len(ranked) - 1)]


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _floor(moment: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)
