"""The short forms that template authors write: ``10m`` for a duration, ``tests_pass`` for an expectation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from orchestrator.core.references import sole_reference
from orchestrator.planning.findings import suggestion
from schemas.errors import InvalidWorkflow
from schemas.expectations import Expectation

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_KINDS: dict[str, type[BaseModel]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(get_args(Expectation)[0])
}


def duration(value: object) -> float:
    """Seconds, more than none, from ``90``, ``1.5``, ``"250ms"``, ``"30s"``, ``"10m"``, ``"2h"`` or ``"1d"``.

    Raises :class:`InvalidWorkflow`.
    """
    match = _DURATION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        raise InvalidWorkflow(f"{value!r} is no duration", hint="write seconds, or a number with ms, s, m, h or d: 10m")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise InvalidWorkflow(f"{value!r} is no time at all", hint="write a duration above 0")
    return seconds


def expectation(value: object) -> Expectation:
    """One expectation from any of its forms. Raises :class:`InvalidWorkflow`.

    ``files_unchanged``; ``{files_changed_within: "src/*", at_least: 1}``, where the value under the kind is its main
    parameter (the first one it declares); ``{kind: files_changed_within, patterns: ["src/*"]}``.
    """
    kind, given = _taken_apart(value)
    shape = _KINDS[kind]
    parameters = [name for name in shape.model_fields if name != "kind"]
    for name in given:
        if name not in parameters:
            raise InvalidWorkflow(
                f"{kind} has no parameter {name!r}", hint=suggestion(name, parameters, f"write just {kind}")
            )
    try:
        made = shape.model_validate({name: _fitted(name, inner) for name, inner in given.items()}, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "missing":
            raise InvalidWorkflow(f"{kind} lacks {name!r}", hint=f"write {{{kind}: <{name}>}}") from error
        raise InvalidWorkflow(f"{name} of {kind}: {first['msg']}, not {given[name]!r}") from error
    return made  # type: ignore[return-value]  # the table holds the members of the union, which mypy cannot see


def _taken_apart(value: object) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return _known(value), {}
    if not isinstance(value, Mapping):
        raise InvalidWorkflow(f"{value!r} is no expectation", hint="write a name or a mapping: tests_pass")
    given = dict(value)
    if "kind" in given:
        return _known(given.pop("kind")), given
    kinds = [name for name in given if name in _KINDS]
    if len(kinds) > 1:
        raise InvalidWorkflow(f"one entry holds {' and '.join(kinds)}", hint="begin each expectation with its own '-'")
    kind = kinds[0] if kinds else _known(next(iter(given), ""))
    main = given.pop(kind)
    if main is not None:
        parameters = [name for name in _KINDS[kind].model_fields if name != "kind"]
        if not parameters:
            raise InvalidWorkflow(f"{kind} takes no parameter", hint=f"write just {kind}")
        if parameters[0] in given:
            raise InvalidWorkflow(f"{kind} has {parameters[0]!r} twice", hint=f"write it once, under {kind}")
        given[parameters[0]] = main
    return kind, given


def _known(kind: object) -> str:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidWorkflow(f"no expectation is called {kind!r}", hint=suggestion(str(kind), _KINDS))
    return kind


def _fitted(name: str, value: Any) -> Any:
    """Lists become the tuples of frozen shapes, a single pattern or key a list of one, durations seconds."""
    if name == "seconds":
        return duration(value)
    if name in ("patterns", "keys", "tests") and isinstance(value, str) and sole_reference(value) is None:
        return (value,)
    return tuple(value) if isinstance(value, list) else value
