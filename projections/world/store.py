"""The world in Redis: loading it, applying batches to it, turning from one generation to the next.

Each tenant has its own position, written by the same script call as the batch it belongs to: the store is always
exactly the world of that tenant at that event. What all tenants have reached is the low-water mark of ``state``; it is
advanced after them, together with the position of each. Where a tenant's own position is behind the recorded one, its
server has lost something, and following begins again from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from immutables import Map

from projections.world import keys as names
from projections.world.codec import decode
from projections.world.connecting import explained
from projections.world.effects import effects, told
from projections.world.keys import PARTS, Keys
from projections.world.scripts import ADVANCE, APPLY, LOAD, Connection, run
from projections.world.state import FORMAT, Agent, Mission, World
from schemas.errors import Conflict

_CHUNK = 500


class StoreMoved(Conflict):
    """The store is not where its writer believes: it was emptied, lost its newest writes, or has another writer."""

    code = "store_moved"


class Fenced(Conflict):
    """A later writer has been at work: this one is stale and may not write any more."""

    code = "fenced"


@dataclass(frozen=True, slots=True)
class StoreState:
    """The writer's own record.

    Attributes:
        position: low-water mark: what all tenants have reached.
        held: it stays there, after a rebuild up to an event.
        tenants: position of each tenant as it was recorded last.
    """

    epoch: int = 0
    generation: int = 0
    position: int = 0
    held: bool = False
    format: int = 0
    tenants: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch of one tenant, for those who follow changes."""

    tenant: str
    before: int
    after: int
    changed: tuple[str, ...]


class WorldStore:
    """All that is known of how the world lies in Redis. Every method raises
    :class:`~projections.world.connecting.WorldUnavailable`.

    Args:
        keep_s: seconds for which an ended mission is kept.
    """

    def __init__(self, redis: Connection, *, keep_s: float) -> None:
        self.redis = redis
        self._client: Any = redis  # the stubs of one client and of a cluster's differ
        self.keep_s = keep_s

    async def state(self) -> StoreState:
        """The writer's record; generation 0 if there is none."""
        with explained("read the world's state"):
            raw = await self._client.hgetall(names.STATE)
        found = {key.decode(): value.decode() for key, value in raw.items()}
        tenants = {name[2:]: int(value) for name, value in found.items() if name.startswith("t:")}
        numbers = {name: int(found.get(name, "0")) for name in ("epoch", "generation", "position", "format")}
        return StoreState(**numbers, held=found.get("held") == "1", tenants=tenants)

    async def record(self, epoch: int, generation: int, fields: Mapping[str, str | int], *, anew: bool = False) -> None:
        """Write to the record. ``generation``: the one that must be there; 0 for none. ``anew``: forget all before.

        Raises:
            Fenced, StoreMoved: see there; nothing was written.
        """
        expected = str(generation) if generation else ""
        flat = [part for name, value in fields.items() for part in (name, str(value))]
        with explained("advance the world's state"):
            [said] = await run(self.redis, ADVANCE, (names.STATE,), (epoch, expected, "anew" if anew else "", *flat))
        _check(said, names.STATE)

    async def new_generation(self) -> int:
        """A number that no generation had; it is on the list of those to be swept if it never comes into use."""
        with explained("begin a generation"):
            number = int(await self._client.incr(f"{names.GENERATIONS}:last"))
            await self._client.sadd(names.GENERATIONS, str(number))
        return number

    async def position_of(self, keys: Keys) -> int | None:
        """A tenant's position; None if nothing of it is there."""
        with explained("read a position"):
            raw = await self._client.hget(keys.meta, "position")
        return None if raw is None else int(raw)

    async def world(self, keys: Keys) -> World:
        """The world of a tenant without its missions, which are loaded when they are needed."""
        with explained("load a world"):
            meta, agents = await run(self.redis, LOAD, (keys.meta, keys.agents), ("HGETALL", "HGETALL"))
        found = {bytes(name): bytes(value) for name, value in zip(meta[::2], meta[1::2], strict=True)}
        known: Map[str, Agent] = Map(_pairs("agents", agents))
        return World(
            keys.tenant,
            position=int(found.get(b"position", b"0")),
            agents=known,
            unreadable=int(found.get(b"unreadable", b"0")),
        )

    async def mission(self, keys: Keys, mission: str) -> Mission | None:
        """A mission with all its parts; None if it is not there."""
        wanted = (keys.mission(mission), *(keys.part(part, mission) for part in PARTS))
        with explained("load a mission"):
            state, *parts = await run(self.redis, LOAD, wanted, ("GET", *(["HGETALL"] * len(PARTS))))
        return None if state is None else mission_of(state, parts)

    async def apply(
        self, keys: Keys, before: World, after: World, missions: Sequence[str], *, stored: int | None, epoch: int
    ) -> Applied:
        """Bring a tenant from one world to the next, all of it or nothing.

        Args:
            missions: those that differ.
            stored: where the store must be now.

        Raises:
            Fenced, StoreMoved: see there; nothing was written.
        """
        made = effects(before, after, missions, keys, keep_s=self.keep_s, now_s=time.time())
        done = Applied(keys.tenant, stored or 0, after.position, tuple(told(before, after, missions)))
        # Told even if nothing changed: who follows sees by the positions whether a message was lost.
        message = " ".join(map(str, (keys.generation, done.before, done.after, *done.changed)))
        fixed = (epoch, "" if stored is None else stored, after.position, FORMAT, after.unreadable, message)
        with explained("write the world"):
            said, _ = await run(self.redis, APPLY, (keys.meta, keys.channel, *made.keys), (*fixed, *made.arguments))
        _check(said, keys.meta)
        return done

    async def point(self, tenant: str, generation: int) -> None:
        """Let the readers of a tenant read this generation."""
        with explained("switch generations"):
            await self._client.set(Keys(tenant, generation).pointer, str(generation))

    async def sweep(self, current: int, *, also: int = 0) -> None:
        """Remove what is left of other generations, a few hundred keys at a time."""
        with explained("remove old generations"):
            listed = await self._client.smembers(names.GENERATIONS)
            for number in sorted({int(raw) for raw in listed} - {current, also}):
                await self._unlink(number)
                await self._client.srem(names.GENERATIONS, str(number))

    async def _unlink(self, generation: int) -> None:
        chunk: list[bytes] = []
        async for key in self._client.scan_iter(match=f"stig:{{*}}:w{generation}:*", count=_CHUNK):
            chunk.append(key)
            if len(chunk) >= _CHUNK:
                await self._remove(chunk)
                chunk = []
        await self._remove(chunk)

    async def _remove(self, chunk: list[bytes]) -> None:
        """By slot: a command may not name keys of two."""
        by_tag: dict[str, list[bytes]] = {}
        for key in chunk:
            by_tag.setdefault(names.tag(key.decode()), []).append(key)
        for together in by_tag.values():
            await self._client.unlink(*together)


def mission_of(state: bytes, parts: list[list[bytes]]) -> Mission:
    """A mission from what is stored of it: parts in the order of :data:`PARTS`, names and values by turns."""
    return Mission(
        decode("mission", state), **{part: Map(_pairs(part, raw)) for part, raw in zip(PARTS, parts, strict=True)}
    )


def _pairs(kind: str, raw: list[bytes]) -> dict[str, Any]:
    return {name.decode(): decode(kind, value) for name, value in zip(raw[::2], raw[1::2], strict=True)}


def _check(said: bytes, where: str) -> None:
    if said == b"fenced":
        raise Fenced(f"a later writer has written {where}", hint="this one stands back; nothing was lost")
    if said == b"moved":
        raise StoreMoved(f"{where} is not where its writer left it", hint="it is read again, or folded from the log")
