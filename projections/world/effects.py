"""From two worlds to what must be written so that the store goes from the one to the other. Pure.

Parts are compared by identity: the fold leaves alone what an event does not touch, so this costs a comparison of
pointers for each part of the missions that a batch touched, and an encoding for each part that changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from immutables import Map
from msgspec import Struct

from projections.world.codec import encode
from projections.world.keys import PARTS, Keys
from projections.world.state import Mission, World

Argument = str | bytes | int
_FOR_EVER = "+inf"
_MOST_TOLD = 50
_MARGIN_S = 60.0


class Effects:
    """Operations on keys of one tenant, in order, as the script ``APPLY`` takes them."""

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}
        self.arguments: list[Argument] = []

    @property
    def keys(self) -> list[str]:
        return list(self._keys)

    def add(self, command: str, key: str, *arguments: Argument) -> None:
        """One command; those with more than 500 arguments are cut into several, so they must allow that."""
        # The script's first two keys are its own; Lua counts from 1.
        number = self._keys.setdefault(key, len(self._keys) + 3)
        self.arguments += [command, number, len(arguments), *arguments]


def effects(
    before: World, after: World, missions: Iterable[str], keys: Keys, *, keep_s: float, now_s: float
) -> Effects:
    """What changed in these missions and among the workers. Missions expire ``keep_s`` seconds after their end."""
    made = Effects()
    for mission in missions:
        _mission(made, before.missions.get(mission), after.missions[mission], keys, keep_s, now_s)
    if after.agents is not before.agents:
        _hash(made, keys.agents, before.agents, after.agents)
    return made


def touched(before: World, after: World, among: Iterable[str]) -> list[str]:
    """Those of these missions that differ; comparing all would make a batch as dear as the world is large."""
    if before.missions is after.missions:
        return []
    return [name for name in sorted(among) if before.missions.get(name) is not after.missions.get(name)]


def told(before: World, after: World, missions: Sequence[str]) -> list[str]:
    """What readers are told: missions that changed, ``@agents`` for workers; ``*`` if it is much."""
    if len(missions) > _MOST_TOLD:
        return ["*"]
    return [*missions, *(["@agents"] if after.agents is not before.agents else [])]


def expires_at(mission: Mission, keep_s: float) -> float | None:
    """When an ended mission may be forgotten, in seconds since 1970; None for an open one."""
    if not mission.state.ended or not mission.state.ended_at:
        return None
    try:
        return datetime.fromisoformat(mission.state.ended_at).timestamp() + keep_s
    except ValueError:
        return 0.0  # whatever its writer's clock said, it has ended


def _mission(made: Effects, before: Mission | None, after: Mission, keys: Keys, keep_s: float, now_s: float) -> None:
    name, until = after.state.id, expires_at(after, keep_s)
    everything = [keys.mission(name), *(keys.part(part, name) for part in PARTS)]
    if until is not None and until <= now_s:
        for key in everything:
            made.add("UNLINK", key)
        made.add("ZREM", keys.missions, name)
        return
    last = None if before is None else expires_at(before, keep_s)
    if last is not None and last <= now_s + _MARGIN_S:
        before = None  # what the store had of it is gone, or about to go: write all of it
    if before is None or before.state is not after.state:
        made.add("SET", keys.mission(name), encode(after.state))
    for part in PARTS:
        old: Map[str, Struct] = Map() if before is None else getattr(before, part)
        _hash(made, keys.part(part, name), old, getattr(after, part))
    if until is not None:
        for key in everything:  # again each time: a hash that is made anew has no end of its own
            made.add("PEXPIREAT", key, round(until * 1000))
        made.add("ZREMRANGEBYSCORE", keys.missions, "-inf", round(now_s * 1000))
    elif before is not None and before.state.ended:
        for key in everything:
            made.add("PERSIST", key)
    made.add("ZADD", keys.missions, _FOR_EVER if until is None else round(until * 1000), name)


def _hash(made: Effects, key: str, before: Map[str, Struct], after: Map[str, Struct]) -> None:
    if before is after:
        return
    changed: list[Argument] = []
    for name, value in after.items():
        if before.get(name) is not value:
            changed += (name, encode(value))
    if changed:
        made.add("HSET", key, *changed)
    gone = _gone(before, after)
    if gone:
        made.add("HDEL", key, *gone)


def _gone(before: Map[str, Struct], after: Map[str, Struct]) -> list[str]:
    names: Iterable[str] = before
    return [name for name in names if name not in after]
