"""The world model beside a replay: whatever pure fold of the world there is, as a part of every scene.

A world fold is ``fresh(tenant)``, ``evolve(world, event)`` and ``parts(world, mission)``. Replay knows no more of it:
it could be that of any read model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from projections.world.fold import evolve
from projections.world.state import World
from schemas.envelope import Event

_PARTS = ("files", "tests", "claims", "trees")
_FACTS = ("root", "head", "violations")


class WorldFold(Protocol):
    """How the world is folded; everything here is pure."""

    def fresh(self, tenant: str) -> Any:
        """The world before any event."""

    def evolve(self, world: Any, event: Event) -> Any:
        """The world after one more; the same object if nothing changed in it. Never fails."""

    def parts(self, world: Any, mission: str) -> dict[str, Mapping[str, Any]]:
        """What it holds of a mission: kind to name to a value; equal parts of two worlds are the same objects."""


class ProjectedWorld:
    """The fold of the read model ``world``."""

    def fresh(self, tenant: str) -> World:
        return World(tenant)

    def evolve(self, world: World, event: Event) -> World:
        return evolve(world, event)

    def parts(self, world: World, mission: str) -> dict[str, Mapping[str, Any]]:
        found = world.missions.get(mission)
        if found is None:
            return {}
        facts = {name: value for name in _FACTS if (value := getattr(found.state, name))}
        parts: dict[str, Mapping[str, Any]] = {name: getattr(found, name) for name in _PARTS}
        parts |= {"mission": facts, "budget": found.state.budget.spent}
        return {name: things for name, things in parts.items() if things}


def world_fold() -> WorldFold:
    """The fold that replays show."""
    return ProjectedWorld()


def shown(value: Any) -> Any:
    """A value of the world as plain JSON values, fields by their names."""
    if isinstance(value, msgspec.Struct):
        return {name: shown(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): shown(inner) for name, inner in value.items()}
    return [shown(inner) for inner in value] if isinstance(value, list | tuple) else value


def document(fold: WorldFold, world: Any, mission: str) -> dict[str, Any]:
    """What the world holds of a mission, in a fixed order."""
    parts = fold.parts(world, mission)
    return {kind: {name: shown(parts[kind][name]) for name in sorted(parts[kind])} for kind in sorted(parts)}
