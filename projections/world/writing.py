"""The one writer: folds batches of the log into one generation of the store.

It holds in memory what it needs to fold: workers, open missions, and a few that have ended. A mission that is not at
hand is loaded when an event speaks of it, and folded from the log if it was reopened after it had expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from msgspec.structs import replace

from events.port import Batch, Log, Window
from projections.world.effects import touched
from projections.world.fold import evolve, matters
from projections.world.keys import Keys
from projections.world.state import Mission, World
from projections.world.store import Applied, StoreState, WorldStore
from schemas.envelope import NO_MISSION, Event
from schemas.subjects import mission_filter

_KEPT_ENDED = 100
_KEPT_TENANTS = 1000
_AT_ONCE = 50


@dataclass(slots=True)
class _Tenant:
    keys: Keys
    world: World
    stored: int | None


class WorldWriter:
    """Writes one generation. Thrown away after any error: its successor loads what the store says.

    Attributes:
        position: what all tenants have reached.
        recording: whether it keeps the store's record; not while its generation is made beside the one in use.
    """

    def __init__(self, store: WorldStore, log: Log, *, generation: int, epoch: int, position: int) -> None:
        self._store = store
        self._log = log
        self.generation = generation
        self.epoch = epoch
        self.position = position
        self.recording = True
        self.tenants: dict[str, _Tenant] = {}

    @classmethod
    async def resumed(cls, store: WorldStore, log: Log, state: StoreState, epoch: int) -> WorldWriter:
        """A writer that goes on where the store is: at the low-water mark, or where a tenant has lost something."""
        position = state.position
        for tenant, recorded in state.tenants.items():
            found = await store.position_of(Keys(tenant, state.generation))
            if found is None or found < recorded:
                position = min(position, found or 0)
        return cls(store, log, generation=state.generation, epoch=epoch, position=position)

    async def take(self, batch: Batch) -> list[Applied]:
        """Fold a batch, write it tenant by tenant, then note how far all are.

        Raises:
            Fenced, StoreMoved: the store is another writer's, or has lost something; begin anew.
            WorldUnavailable: Redis is away; whether the batch was written is seen afterwards.
        """
        applied = []
        events = sorted((event for event in batch.events if matters(event)), key=_tenant_of)
        for tenant, group in groupby(events, key=_tenant_of):
            done = await self._take(tenant, list(group), batch.last)
            if done is not None:
                applied.append(done)
        if len(self.tenants) > _KEPT_TENANTS:
            self.tenants = {done.tenant: self.tenants[done.tenant] for done in applied}
        self.position = max(self.position, batch.last)
        if not self.recording:
            return applied
        positions = {f"t:{done.tenant}": done.after for done in applied}
        await self._store.record(self.epoch, self.generation, {"position": self.position, **positions})
        return applied

    async def _take(self, name: str, events: list[Event], last: int) -> Applied | None:
        tenant = self.tenants.get(name) or await self._begin(name)
        fresh = [event for event in events if event.sequence > (tenant.stored or 0)]
        if not fresh:
            return None
        before = after = await self._at_hand(tenant, fresh)
        for number, event in enumerate(fresh):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)  # roles that decide may live in the same process
            if event.type == "mission.reopened" and event.mission not in after.missions:
                after = await self._from_log(after, event)
            after = evolve(after, event)
        after = replace(after, position=max(last, after.position))
        changed = touched(before, after, {event.mission for event in fresh})
        done = await self._store.apply(tenant.keys, before, after, changed, stored=tenant.stored, epoch=self.epoch)
        tenant.stored, tenant.world = after.position, _without_old(after, keep=changed)
        return done

    async def _begin(self, name: str) -> _Tenant:
        keys = Keys(name, self.generation)
        stored = await self._store.position_of(keys)
        world = World(name) if stored is None else await self._store.world(keys)
        tenant = self.tenants[name] = _Tenant(keys, world, stored)
        return tenant

    async def _at_hand(self, tenant: _Tenant, events: Iterable[Event]) -> World:
        """The world with all missions that these events speak of, as far as the store has them."""
        world = tenant.world
        submitted = {event.mission for event in events if event.type == "mission.submitted"}
        wanted = {event.mission for event in events} - {NO_MISSION}
        for name in sorted(wanted - set(world.missions)):
            if name in submitted and tenant.stored is None:
                continue
            mission = await self._store.mission(tenant.keys, name)
            if mission is not None:
                world = replace(world, missions=world.missions.set(name, mission))
        return world

    async def _from_log(self, world: World, event: Event) -> World:
        """With a mission that had expired, folded from its events before this one."""
        past = World(world.tenant)
        window = Window((mission_filter(event.tenant, event.mission),), last=event.sequence - 1)
        async for one in self._log.read(window):
            past = evolve(past, one)
        mission = past.missions.get(event.mission)
        return world if mission is None else replace(world, missions=world.missions.set(event.mission, mission))


def _tenant_of(event: Event) -> str:
    return event.tenant


def _without_old(world: World, keep: Iterable[str]) -> World:
    """Without most of the missions that have ended: they are in the store, and hardly anything comes after an end."""
    if len(world.missions) <= _KEPT_ENDED:
        return world
    kept = set(keep)
    ended: list[Mission] = [
        mission for name, mission in world.missions.items() if mission.state.ended and name not in kept
    ]
    if len(ended) <= _KEPT_ENDED:
        return world
    ended.sort(key=lambda mission: mission.state.sequence)
    missions = world.missions
    for mission in ended[: len(ended) - _KEPT_ENDED // 2]:
        missions = missions.delete(mission.state.id)
    return replace(world, missions=missions)
