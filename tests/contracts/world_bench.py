"""A world store of each kind, a log, and what must hold between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from events.memory import MemoryLog
from events.port import Batch
from projections.world import World, evolve
from projections.world.keys import Keys, tag
from projections.world.scripts import Connection
from projections.world.state import FORMAT
from projections.world.store import WorldStore
from projections.world.writing import WorldWriter
from schemas.envelope import Event

LONG_S = 10**9.0


@dataclass
class Watched:
    """A client that notes the keys of every script it runs, and fails now and then while there is ``chaos``.

    Attributes:
        when: whether a call breaks ``before`` it took effect, or ``after``.
    """

    redis: Any
    chaos: Random | None = None
    when: str = "before"
    named: list[tuple[str, ...]] = field(default_factory=list)

    async def evalsha(self, digest: str, count: int, *rest: Any) -> Any:
        return await self._noted("evalsha", digest, count, *rest)

    async def eval(self, script: str, count: int, *rest: Any) -> Any:
        return await self._noted("eval", script, count, *rest)

    async def _noted(self, name: str, script: str, count: int, *rest: Any) -> Any:
        self.named.append(tuple(rest[:count]))
        breaks = self.chaos is not None and self.chaos.random() < 0.2
        if breaks and self.when == "before":
            raise ConnectionResetError("before")
        result = await getattr(self.redis, name)(script, count, *rest)
        if breaks:
            raise ConnectionResetError("after")
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.redis, name)

    def check_slots(self) -> None:
        """No call names keys of two slots."""
        assert self.named
        for keys in self.named:
            assert len({tag(key) for key in keys}) == 1, keys


def batches(events: Sequence[Event], cuts: Sequence[int]) -> list[Batch]:
    """The events in batches that end at these places."""
    edges = sorted({0, len(events), *(cut for cut in cuts if 0 < cut < len(events))})
    parts = [tuple(events[first:end]) for first, end in pairwise(edges)]
    return [Batch(part, part[-1].sequence) for part in parts]


async def opened(redis: Connection, *, epoch: int, keep_s: float = LONG_S) -> WorldStore:
    """A store with a generation, and an epoch that fences all before."""
    store = WorldStore(redis, keep_s=keep_s)
    state = await store.state()
    if not state.generation:
        fresh = await store.new_generation()
        await store.record(epoch, 0, {"generation": fresh, "position": 0, "held": 0, "format": FORMAT}, anew=True)
    else:
        await store.record(epoch, state.generation, {})
    return store


async def writer_of(store: WorldStore, log: MemoryLog, epoch: int) -> WorldWriter:
    return await WorldWriter.resumed(store, log, await store.state(), epoch)


async def stored(store: WorldStore, tenant: str, missions: Sequence[str]) -> World:
    """All that is stored of a tenant."""
    keys = Keys(tenant, (await store.state()).generation)
    world = await store.world(keys)
    for name in missions:
        mission = await store.mission(keys, name)
        if mission is not None:
            world = World(tenant, world.position, world.missions.set(name, mission), world.agents, world.unreadable)
    return world


async def check_equal(store: WorldStore, events: Sequence[Event]) -> None:
    """The store is the pure fold of these events, tenant by tenant; positions say where each has come."""
    for tenant in sorted({event.tenant for event in events}):
        expected = World(tenant)
        for event in events:
            if event.tenant == tenant:
                expected = evolve(expected, event)
        found = await stored(store, tenant, sorted(expected.missions))
        assert found.missions == expected.missions
        assert found.agents == expected.agents
        assert found.unreadable == expected.unreadable
