"""The world model beside a replay: whatever pure fold of the world there is, as a part of every scene.

A world fold is ``fresh(tenant)``, ``evolve(world, event)`` and ``parts(world, mission)``. Replay knows no more of it,
so it does not matter which read model brings it, and a release without one replays as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import msgspec

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
    """The fold of the projection ``world``."""

    def __init__(self) -> None:
        self._fold, self._state = import_module("projections.world.fold"), import_module("projections.world.state")

    def fresh(self, tenant: str) -> Any:
        return self._state.World(tenant)

    def evolve(self, world: Any, event: Event) -> Any:
        return self._fold.evolve(world, event)

    def parts(self, world: Any, mission: str) -> dict[str, Mapping[str, Any]]:
        found = world.missions.get(mission)
        if found is None:
            return {}
        parts = {name: getattr(found, name) for name in _PARTS if getattr(found, name, None)}
        facts = {name: value for name in _FACTS if (value := getattr(found.state, name, None))}
        spent = getattr(getattr(found.state, "budget", None), "spent", None)
        return parts | {name: values for name, values in (("budget", spent), ("mission", facts)) if values}


def world_fold() -> WorldFold | None:
    """The fold of this release; None if it has none."""
    found = find_spec("projections.world") is not None and find_spec("projections.world.fold") is not None
    return ProjectedWorld() if found else None


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
