"""The planner of the settings: the one that comes with us, or one of the user's."""

from __future__ import annotations

import importlib
from typing import Any

from orchestrator.planning import Planner, TemplatePlanner, builtin_templates
from schemas.errors import InvalidInput

_WANTED = ("complete", "plan", "another_way")


def load_planner(place: str) -> Planner:
    """The planner at ``module:name``; ours if ``place`` is empty.

    What has no methods of a planner but can be called is called with our planner, so that it can leave to it what it
    does not want to do itself.

    Raises:
        InvalidInput: there is nothing of that name, or it is no planner.
    """
    ours = TemplatePlanner(builtin_templates())
    if not place:
        return ours
    module, _, name = place.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise InvalidInput(
            f"the planner {place!r} cannot be imported: {error}",
            hint="STIGMERGY_PLANNER=module:name, importable where the orchestrator runs",
        ) from error
    except AttributeError as error:
        raise InvalidInput(f"{module} has no {name!r}", hint="STIGMERGY_PLANNER=module:name") from error
    if isinstance(found, type) or not _is_planner(found):
        found = found(ours) if callable(found) else found
    if not _is_planner(found):
        raise InvalidInput(
            f"{place} is no planner: it is a {type(found).__name__} without {', '.join(_missing(found))}",
            hint="orchestrator/planning/port.py says what a planner does",
        )
    planner: Planner = found
    return planner


def _is_planner(found: object) -> bool:
    return not _missing(found)


def _missing(found: object) -> list[str]:
    return [name for name in _WANTED if not callable(getattr(found, name, None))]
