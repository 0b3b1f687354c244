"""Whether the store is what the log says: the log is folded again and compared, part by part."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from events.port import Log, Window
from projections.port import Progress
from projections.world.codec import decode, plain
from projections.world.connecting import WorldUnavailable, explained
from projections.world.effects import expires_at
from projections.world.fold import evolve
from projections.world.keys import PARTS, Keys
from projections.world.scripts import LOAD, Connection, run
from projections.world.state import Mission, World
from projections.world.store import WorldStore, mission_of

_MOST = 100
_TOLD_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that is not as it should be; a side is None where the part is missing."""

    tenant: str
    mission: str
    part: str
    name: str
    stored: Any
    expected: Any


@dataclass
class CheckReport:
    """What was compared, and what differs: the first hundred, and how many in all."""

    position: int
    generation: int
    tenants: int = 0
    missions: int = 0
    parts: int = 0
    differences: list[Difference] = field(default_factory=list)
    different: int = 0

    @property
    def sound(self) -> bool:
        return not self.different

    def compare(self, tenant: str, mission: str, part: str, name: str, stored: Any, expected: Any) -> None:
        """Count one part."""
        self.parts += 1
        if stored == expected:
            return
        self.different += 1
        if len(self.differences) < _MOST:
            self.differences.append(Difference(tenant, mission, part, name, plain(stored), plain(expected)))


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read of one tenant at one position: a mission, or (with no name) its workers."""

    keys: Keys
    position: int
    mission: str
    found: Any


async def check(redis: Connection, log: Log, *, keep_s: float, progress: Progress = lambda *_: None) -> CheckReport:
    """Compare every mission and all workers of every tenant with a fold of the log up to the same event.

    The writer may go on meanwhile: each mission is read together with its position, and compared with the fold as it
    was at that position. The log is read twice, once for the names of missions that the store may have lost.

    Raises:
        WorldUnavailable: Redis does not answer.
        LogUnavailable: the log does not.
    """
    store, client = WorldStore(redis, keep_s=keep_s), cast("Any", redis)
    state = await store.state()
    if not state.generation:
        raise WorldUnavailable("the world model is empty", hint="`stig serve world` folds it from the log")
    report = CheckReport(state.position, state.generation)
    submitted = await _submitted(log)
    looks: list[_Look] = []
    with explained("read the world"):
        for tenant in sorted({*submitted, *state.tenants}):
            report.tenants += 1
            keys = Keys(tenant, state.generation)
            stored = {name.decode() for name in await client.zrange(keys.missions, 0, -1)}
            looks += [look async for look in _looks(redis, keys, sorted(submitted.get(tenant, set()) | stored))]
    looks.sort(key=lambda look: look.position)
    await _compare(report, log, looks, keep_s, progress)
    return report


async def _submitted(log: Log) -> dict[str, set[str]]:
    counts = await log.missions(("mission.submitted",))
    found: dict[str, set[str]] = {}
    for tenant, mission in counts:
        found.setdefault(tenant, set()).add(mission)
    return found


async def _looks(redis: Connection, keys: Keys, missions: Iterable[str]) -> AsyncIterator[_Look]:
    meta, agents = await run(redis, LOAD, (keys.meta, keys.agents), ("HGETALL", "HGETALL"))
    yield _Look(keys, _position(meta), "", agents)
    for mission in missions:
        wanted = (keys.meta, keys.mission(mission), *(keys.part(part, mission) for part in PARTS))
        meta, raw, *parts = await run(redis, LOAD, wanted, ("HGETALL", "GET", *["HGETALL"] * len(PARTS)))
        yield _Look(keys, _position(meta), mission, None if raw is None else mission_of(raw, parts))


def _position(meta: list[bytes]) -> int:
    found = dict(zip(meta[::2], meta[1::2], strict=True))
    return int(found.get(b"position", b"0"))


async def _compare(report: CheckReport, log: Log, looks: list[_Look], keep_s: float, progress: Progress) -> None:
    worlds: dict[str, World] = {}
    waiting = iter(looks)
    due = next(waiting, None)
    last = looks[-1].position if looks else 0
    async for event in log.read(Window(last=last)) if last else _nothing():
        while due is not None and event.sequence > due.position:
            _look_at(report, due, worlds, keep_s)
            due = next(waiting, None)
        if event.sequence % _TOLD_EVERY == 0:
            progress(event.sequence, last)
        world = worlds.get(event.tenant) or World(event.tenant)
        worlds[event.tenant] = evolve(world, event)
    while due is not None:
        _look_at(report, due, worlds, keep_s)
        due = next(waiting, None)


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


def _look_at(report: CheckReport, look: _Look, worlds: dict[str, World], keep_s: float) -> None:
    tenant = look.keys.tenant
    world = worlds.get(tenant) or World(tenant)
    if not look.mission:
        _compare_agents(report, look, world)
        return
    expected = world.missions.get(look.mission)
    if look.found is None and (expected is None or _may_be_gone(expected, keep_s)):
        return  # submitted after the look, or no longer kept
    report.missions += 1
    if look.found is None or expected is None:
        report.compare(
            tenant, look.mission, "mission", look.mission, look.found and look.found.state, expected and expected.state
        )
        return
    report.compare(tenant, look.mission, "mission", look.mission, look.found.state, expected.state)
    for part in PARTS:
        _compare_parts(report, tenant, look.mission, part, getattr(look.found, part), getattr(expected, part))


def _compare_agents(report: CheckReport, look: _Look, world: World) -> None:
    stored = {n.decode(): decode("agents", v) for n, v in zip(look.found[::2], look.found[1::2], strict=True)}
    _compare_parts(report, look.keys.tenant, "", "agents", stored, world.agents)


def _compare_parts(report: CheckReport, tenant: str, mission: str, part: str, stored: Any, expected: Any) -> None:
    for name in sorted({*stored, *expected}):
        report.compare(tenant, mission, part, name, stored.get(name), expected.get(name))


def _may_be_gone(mission: Mission, keep_s: float) -> bool:
    until = expires_at(mission, keep_s)
    return until is not None and until <= time.time()
