"""The planner of the settings: the one that comes with us, one of the user's, or one that a package brings along."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from orchestrator.planning import Planner, TemplatePlanner, builtin_templates
from orchestrator.planning.findings import suggestion
from schemas.errors import InvalidInput

GROUP = "stigmergy.planners"
_WANTED = ("complete", "plan", "another_way")
_HINT = "STIGMERGY_PLANNER=module:name, importable where the orchestrator runs"


def load_planner(place: str) -> Planner:
    """The planner at ``module:name``, or of this name among the entry points ``stigmergy.planners`` of installed
    packages; ours if ``place`` is empty.

    What has no methods of a planner but can be called is called with our planner, so that it can leave to it what it
    does not want to do itself.

    Raises:
        InvalidInput: there is nothing of that name, it cannot be imported or made, or it is no planner.
    """
    ours = TemplatePlanner(builtin_templates())
    if not place:
        return ours
    found = _at(place) if ":" in place else _named(place)
    if isinstance(found, type) or not _is_planner(found):
        found = _made(place, found, ours) if callable(found) else found
    if not _is_planner(found):
        raise InvalidInput(
            f"{place} is no planner: it is a {type(found).__name__} without {', '.join(_missing(found))}",
            hint="orchestrator/planning/port.py says what a planner does",
        )
    planner: Planner = found
    return planner


def _at(place: str, called: str = "", hint: str = _HINT) -> Any:
    """What is at ``module:name``; errors speak of what it is ``called``."""
    module, _, name = place.partition(":")
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # whatever somebody else's module raises while it is imported
        raise InvalidInput(
            f"the planner {called or place!r} cannot be imported: {type(error).__name__}: {error}", hint=hint
        ) from error
    if not hasattr(loaded, name):
        raise InvalidInput(f"{module} has no {name!r}", hint=suggestion(name, _public(loaded), hint))
    return getattr(loaded, name)


def _named(name: str) -> Any:
    offered = entry_points(group=GROUP)
    entries = [entry for entry in offered if entry.name == name]
    if not entries:
        near = suggestion(name, offered.names, f"no package offers one by the entry point group {GROUP}; else {_HINT}")
        raise InvalidInput(f"no installed package has a planner {name!r}", hint=near)
    if len({entry.value for entry in entries}) > 1:
        raise InvalidInput(
            f"{len(entries)} packages have a planner {name!r}: {', '.join(map(_told, entries))}",
            hint=f"name one by its place: STIGMERGY_PLANNER={entries[0].value}",
        )
    return _at(f"{entries[0].module}:{entries[0].attr}", name, f"look at {_told(entries[0])}")


def _made(place: str, maker: Any, ours: Planner) -> Any:
    try:
        return maker(ours)
    except Exception as error:  # whatever somebody else's code raises
        raise InvalidInput(
            f"the planner {place!r} cannot be made: {type(error).__name__}: {error}",
            hint="it is called with the planner that comes with us, and returns a planner",
        ) from error


def _told(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "an unnamed package"
    return f"{entry.value} of {package}"


def _public(module: object) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _is_planner(found: object) -> bool:
    return not _missing(found)


def _missing(found: object) -> list[str]:
    return [name for name in _WANTED if not callable(getattr(found, name, None))]
