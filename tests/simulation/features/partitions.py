"""Deciders that share missions out in partitions; some go on deciding for seconds after others have taken over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from events.leadership.group import Group
from events.leadership.memory import MemoryKeys
from events.leadership.port import Entry, Put
from orchestrator.partitions import Partitions as Held
from schemas.errors import LogUnavailable, StigmergyError
from tests.simulation.fates import Fates
from tests.simulation.feature import Feature, Part
from tests.simulation.ledger import Broken
from tests.simulation.node import Node
from tests.simulation.scenario import Scenario

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_PARTITIONS = 4


class _RoughKeys:
    """One process's view of the keys: slow, at times refusing, unsure or cut off."""

    def __init__(self, inner: MemoryKeys, node: Node, fates: Fates) -> None:
        self._inner, self._node, self._fates = inner, node, fates
        self._latency = fates.stream(f"keys {node.name}")
        self._deaf_until = 0.0

    async def open(self) -> None:
        await self._wait()

    async def put(self, writes: Sequence[Put]) -> list[int | StigmergyError]:
        away: list[int | StigmergyError] = [LogUnavailable("the keys are away")] * len(writes)
        if self._fates.strikes("leader_cut_off"):
            self._deaf_until = _now() + self._fates.size("leader_cut_off", 1.0, 9.0)
        await self._wait()
        if self._fates.strikes("keys_refused"):
            return away
        written = await self._inner.put(writes)
        await self._wait()
        return away if self._fates.strikes("keys_unsure") else written

    async def get(self, key: str) -> Entry | None:
        await self._wait()
        return await self._inner.get(key)

    async def watch(self, group: str) -> AsyncIterator[list[Entry]]:
        async for entries in self._inner.watch(group):
            await self._wait()
            yield entries

    async def _wait(self) -> None:
        if self._node.dead:
            raise asyncio.CancelledError  # a dead process asks for nothing
        await asyncio.sleep(self._latency.random() * 0.01)
        while _now() < self._deaf_until and not self._fates.calm:
            await asyncio.sleep(0.1)
        if self._node.dead:
            raise asyncio.CancelledError


class _Stale(Group):
    """A member that does not look at the clock: it decides until it hears that others have taken over."""

    def holds(self, part: int) -> bool:
        return part in self._held and part not in self._giving


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._keys = MemoryKeys()
        self._groups: dict[str, Group] = {}
        self._chance = fleet.fates.stream("partitions")

    def group(self, role: str, node: Node) -> Group:
        kind = _Stale if self._chance.random() < 0.5 else Group
        keys = _RoughKeys(self._keys, node, self.fleet.fates)
        made = self._groups[node.name] = kind(keys, role, node.name, partitions=_PARTITIONS)
        return made

    def at_rest(self) -> None:
        for role in ("orchestrator", "task-queue"):
            living = [g for name, g in self._groups.items() if g.name == role and not self.fleet.nodes[name].dead]
            for part in range(_PARTITIONS):
                leaders = [group.who for group in living if group.holds(part)]
                if len(leaders) > 1:
                    raise Broken("a partition has one leader", (role, str(part)), ", ".join(leaders))


def _blind() -> Any:
    async def prepare(self: Held[Any], parts: frozenset[int]) -> None:
        self._reads |= parts

    return patch.object(Held, "prepare", prepare)


class PartitionsOfMissions(Feature):
    """Two or three of each decider, in groups."""

    name, share, part = "partitions", 0.3, _Part
    rates: ClassVar = {"leader_cut_off": 0.02, "keys_refused": 0.02, "keys_unsure": 0.03}
    mutants: ClassVar = {"what is taken over is not read before": _blind}

    def draw(self, rng: Random, scenario: Scenario) -> Scenario:
        scenario = super().draw(rng, scenario)
        return replace(scenario, orchestrators=rng.choice((1, 2, 3)), managers=rng.choice((1, 2, 3)))


def _now() -> float:
    return asyncio.get_running_loop().time()
