"""Priorities take turns whoever leads their missions: what managers tell one another, and what Redis then serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from events.leadership.group import Group, Hands
from events.leadership.memory import MemoryKeys
from events.signals import MemorySignals
from orchestrator.task_queue import managers
from orchestrator.task_queue.demand import share_of
from orchestrator.task_queue.fairness import FairQueue
from orchestrator.task_queue.managers import Managers
from orchestrator.task_queue.sent import AttemptKey, Message, Sent
from orchestrator.task_queue.situation import Situation
from schemas.celery_wire import PRIORITY_STEPS, wire_priority
from schemas.replicas import QueueDemand

QUEUE = "stig.s"
AHEAD = 2


@dataclass(frozen=True)
class Waiting:
    number: int
    priority: int
    mission: str
    tenant: str = "acme"
    weight: float = 1.0

    @property
    def key(self) -> AttemptKey:
        return self.tenant, self.mission, f"t{self.number}", 1


class Redis:
    """Its lists, of which the highest is served first."""

    def __init__(self) -> None:
        self.lists: dict[int, list[tuple[Message, Waiting]]] = {step: [] for step in PRIORITY_STEPS}

    def push(self, message: Message, one: Waiting) -> None:
        wire = wire_priority(message.priority)
        self.lists[max(step for step in PRIORITY_STEPS if step <= wire)].append((message, one))

    def to_front(self, message: Message) -> None:
        for waiting in self.lists.values():
            for one in [one for one in waiting if one[0] is message]:
                waiting.remove(one)
                self.lists[0].insert(0, one)

    def pop(self) -> Waiting:
        return next(waiting.pop(0)[1] for waiting in self.lists.values() if waiting)


@dataclass
class Manager:
    """Has endless missions, one of each of its priorities; counts what is claimed of them."""

    name: str
    priorities: tuple[int, ...]
    redis: Redis
    step: float
    sent: Sent = field(init=False)
    backlog: FairQueue[Waiting] = field(init=False)
    claimed: Counter[int] = field(default_factory=Counter)
    told: Counter[int] = field(default_factory=Counter)
    made: int = 0

    def __post_init__(self) -> None:
        self.sent, self.backlog = Sent(self.step), FairQueue(step=self.step)
        for _ in range(3000):
            for priority in self.priorities:
                self.made += 1
                self.backlog.put(Waiting(self.made, priority, f"{self.name}{priority}"))

    @property
    def demand(self) -> tuple[QueueDemand, ...]:
        return tuple(QueueDemand(priority, {"acme": 1.0}) for priority in self.priorities)

    def fill(self, workers: int, others: list[Manager]) -> None:
        share = share_of(self.demand, [other.demand for other in others], step=self.step)
        while self.sent.count(QUEUE) < max(1, round(AHEAD * workers * share)):
            message = Message(QUEUE, self.backlog.highest)
            (one,) = self.backlog.take(1)
            self.sent.add(message, [one.key])
            self.redis.push(message, one)

    def bring(self, hurt: list[Message]) -> None:
        for message in hurt:
            self.redis.to_front(message)

    def tell(self, others: list[Manager]) -> None:
        for priority, count in (self.claimed - self.told).items():
            for other in others:
                other.bring(other.sent.passed(QUEUE, priority, count))
        self.told = Counter(self.claimed)


def served(
    *priorities: tuple[int, ...], claims: int = 2000, workers: int = 2, every: int = 1, step: float = 2.0
) -> Counter[int]:
    """How many attempts of each priority are claimed; managers tell one another after every so many claims."""
    redis = Redis()
    managers = [Manager("abc"[number], levels, redis, step) for number, levels in enumerate(priorities)]
    for claim in range(claims):
        for one in managers:
            others = [other for other in managers if other is not one]
            one.fill(workers, others)
            if claim % every == 0:
                one.tell(others)
        taken = redis.pop()
        owner = next(one for one in managers if taken.mission.startswith(one.name))
        owner.claimed[taken.priority] += 1
        owner.bring(owner.sent.claimed(taken.key, QUEUE, taken.priority))
    return sum((one.claimed for one in managers), Counter())


@pytest.mark.parametrize(
    ("high", "low", "workers", "every"), [(9, 5, 2, 1), (9, 5, 2, 10), (9, 3, 8, 20), (5, 4, 30, 10), (7, 6, 16, 4)]
)
def test_a_low_priority_led_elsewhere_gets_its_turns(high: int, low: int, workers: int, every: int) -> None:
    counts = served((high,), (low,), workers=workers, every=every)
    due = 2000 / (2.0 ** (high - low) + 1)
    assert 0.6 * due <= counts[low] <= 1.6 * due + AHEAD * workers / 2, f"{counts}, where {due:.0f} are due"


def test_with_equal_priorities_managers_take_turns_evenly() -> None:
    counts = served((9,), (1,), step=1.0)
    assert abs(counts[9] - counts[1]) < 200


def test_where_everybody_has_both_it_is_as_with_one_manager() -> None:
    counts = served((9, 6), (9, 6), (9, 6))
    assert counts[6] == pytest.approx(2000 / 9, rel=0.5)


class Idle(Hands):
    """Leads, and does nothing."""

    async def prepare(self, parts: frozenset[int]) -> None: ...
    async def take(self, taken: object) -> None: ...
    def lapse(self) -> None: ...
    async def resume(self) -> None: ...
    async def give(self, parts: frozenset[int]) -> None: ...


@asynccontextmanager
async def manager(
    name: str, keys: MemoryKeys, signals: MemorySignals, passed: list[tuple[str, int, int]]
) -> AsyncIterator[Managers]:
    group = Group(keys, "task-queue", name, partitions=4, lease_s=2.0)
    made = Managers(
        signals,
        group,
        list,
        lambda tenant: [],
        Situation(2.0, 0.0),
        lambda *said: passed.append(said),
        tenant_weight=lambda tenant: 1.0,
        priority_step=2.0,
    )
    tasks = [asyncio.create_task(group.run(Idle())), asyncio.create_task(made.run())]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_managers_hear_how_many_attempts_of_others_were_claimed_with_which_priority() -> None:
    keys, signals = MemoryKeys(), MemorySignals()
    heard: dict[str, list[tuple[str, int, int]]] = {"a": [], "b": []}
    async with manager("a", keys, signals, heard["a"]) as a:
        a.claimed(QUEUE, 9)  # before anybody else was there: history
        async with manager("b", keys, signals, heard["b"]), asyncio.timeout(10):
            while not a._peers.said:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.6)  # b has heard of a by now
            assert not heard["b"]
            for priority in (9, 9, 5):
                a.claimed(QUEUE, priority)
            while sum(count for _, _, count in heard["b"]) < 3:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.6)  # said again, and counted once
            assert Counter({9: 2, 5: 1}) == Counter({p: n for _, p, n in heard["b"]})
            assert not heard["a"]


async def test_queues_of_workers_that_left_long_ago_are_told_of_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managers, "_MOST_QUEUES", 2)
    keys, signals = MemoryKeys(), MemorySignals()
    heard: list[tuple[str, int, int]] = []
    async with manager("a", keys, signals, []) as a, manager("b", keys, signals, heard) as b, asyncio.timeout(10):
        while not (a._peers.said and b._peers.said):
            await asyncio.sleep(0.01)
        for profile in range(7):
            a.claimed(f"{QUEUE}@{profile}", 5)
        while (f"{QUEUE}@6", 5, 1) not in heard:
            await asyncio.sleep(0.01)
        assert all(len(said.claimed) <= 2 for said in b._peers.said)
