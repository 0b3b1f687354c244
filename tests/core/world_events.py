"""Events for tests of the world model: one mission told step by step, and random ones of several tenants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from projections.world import World, evolve
from schemas.attempts import Action, AttemptOrder, Failure
from schemas.budgets import Budget
from schemas.envelope import Event
from schemas.events import Payload
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import MissionPlanned, MissionSubmitted
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.events.worker import WorkerJoined
from schemas.events.world import WorldConfirmed
from schemas.expectations import FilesChangedWithin, Observation
from schemas.handoff import Earlier
from schemas.plan import Plan, TaskSpec
from tests.core.replay_events import event_of, recorded

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = "0" * 40


def tree(number: int) -> str:
    """A tree's id."""
    return f"{number:040x}"


def product(of: str) -> dict[str, Any]:
    return {"tree": of, "packs": ["sha256:" + "0" * 64], "files": 3, "size_bytes": 30}


def failure(message: str = "no") -> Failure:
    return Failure(code="x", message=message)


class Story:
    """A world and the events that made it."""

    def __init__(self, *tasks: str, mission: str = "m", tenant: str = "t") -> None:
        self.tenant, self.mission = tenant, mission
        self.world = World(tenant)
        self.events: list[Event] = []
        self.tell(MissionSubmitted(objective="o", workflow="w", inputs={"budget": {"cost": 1}}))
        self.tell(WorkerJoined(worker="w1", host="h", pid=1, skills=("code", "test")), mission="_")
        specs = tuple(TaskSpec(id=name, skill="code") for name in tasks)
        self.tell(MissionPlanned(plan=Plan(tasks=specs, deadline_s=60.0, budget=Budget(cost=2)), planned_at=BEGIN))

    def tell(self, *payloads: Payload, mission: str | None = None) -> None:
        for payload in payloads:
            number = len(self.events) + 1
            at = BEGIN + timedelta(seconds=number)
            event = event_of(payload, at, number, tenant=self.tenant, mission=mission or self.mission)
            self.events.append(event)
            self.world = evolve(self.world, event)

    def begin(
        self,
        task: str,
        base: str = ROOT,
        attempt: int = 1,
        patterns: tuple[str, ...] = ("*.py",),
        onto: dict[str, str] | None = None,
        claims: tuple[str, ...] = (),
    ) -> None:
        """Ready, dispatched, started. ``onto``: task to the tree of its that is merged into the workspace."""
        who = {"task": task, "attempt": attempt}
        expects = (FilesChangedWithin(patterns=patterns),)
        earlier = tuple(Earlier(task=name, snapshot=product(of)) for name, of in (onto or {}).items())
        order = AttemptOrder(
            tenant=self.tenant,
            mission=self.mission,
            skill="code",
            action=Action(tool="code"),
            expects=expects,
            onto=earlier,
            claims=claims,
            **who,
        )
        self.tell(TaskReady(**who, skill="code", workspace=product(base), expects=expects))
        self.tell(ActionDispatched(**who, order=order, queue="q"))
        self.tell(AttemptStarted(**who, worker="w1", agent="coder"))

    def finish(
        self, task: str, after: str, changes: dict[str, str], attempt: int = 1, tests: dict[str, Any] | None = None
    ) -> None:
        """The attempt's word; contents are named after the tree."""
        contents = {path: f"{path}@{after}" for path, change in changes.items() if change != "deleted"}
        seen = Observation(changes=changes, contents=contents, tests=tests, duration_s=0.5, tools={"sed": 2})
        self.tell(
            AttemptFinished(
                task=task, attempt=attempt, worker="w1", outcome="succeeded", product=product(after), observation=seen
            )
        )

    def confirm(self, task: str, attempt: int = 1) -> None:
        self.tell(WorldConfirmed(task=task, attempt=attempt), TaskSucceeded(task=task, attempt=attempt))

    def write(self, task: str, base: str, after: str, changes: dict[str, str]) -> None:
        """A whole attempt that is confirmed."""
        self.begin(task, base)
        self.finish(task, after, changes)
        self.confirm(task)

    @property
    def known(self) -> Any:
        return self.world.missions[self.mission]


def mixed(seed: int, tenants: int = 2, missions: int = 3) -> list[Event]:
    """Random missions of several tenants, their events interleaved, with files and tests that some attempts report."""
    rng = Random(seed)
    lanes = [
        [replace(event, tenant=f"t{number % tenants}", mission=f"m{number}") for event in recorded(seed * 31 + number)]
        for number in range(missions)
    ]
    events: list[Event] = []
    while lanes:
        lane = rng.choice(lanes)
        event = lane.pop(0)
        number = len(events) + 1
        events.append(replace(_adorned(rng, event), id=f"{event.mission}-{event.id}", sequence=number))
        lanes = [lane for lane in lanes if lane]
    return events


def _adorned(rng: Random, event: Event) -> Event:
    """Words of attempts get observations: what was changed, and what tests said."""
    if event.type != "attempt.finished":
        return event
    import msgspec

    data = msgspec.json.decode(event.data)
    paths = rng.sample(("a.py", "b.py", "c/d.py"), rng.randint(0, 2))
    case = {"id": "test_a", "outcome": rng.choice(("passed", "failed")), "duration_s": 0.1}
    report = {"outcome": rng.choice(("passed", "failed", "timeout")), "cases": [case]}
    data["product"] = product(tree(rng.randint(1, 5)))
    data["observation"] = {
        "changes": {path: rng.choice(("added", "modified", "deleted")) for path in paths},
        "contents": {path: f"c{rng.randint(1, 9)}" for path in paths},
        "tests": report if rng.random() < 0.5 else None,
        "duration_s": 0.25,
        "tools": {"sed": 1},
    }
    return replace(event, data=msgspec.Raw(msgspec.json.encode(data)))
