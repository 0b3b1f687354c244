"""What a workflow wants to be told: declared inputs, and whether given values fit them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.planning.findings import Finding, suggestion

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "any": lambda value: True,
}
_OTHER_WORDS = {
    "str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean",
    "dict": "object", "map": "object", "mapping": "object", "list": "array",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One declared input. ``type`` is a word of JSON Schema, or ``any``."""

    name: str
    type: str = "any"
    description: str = ""
    required: bool = True
    default: Any = None


def type_finding(word: str) -> str | None:
    """None for a type there is, else what to write instead."""
    if word in _TYPES:
        return None
    other = _OTHER_WORDS.get(word)
    return f"did you mean {other!r}?" if other else suggestion(word, _TYPES)


def fits(value: Any, type_: str) -> bool:
    """Whether a JSON value is of the declared type."""
    return _TYPES[type_](value)


def complete(declared: Mapping[str, InputSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given inputs, and for those left out the defaults (null without one). Doing it twice changes nothing."""
    defaults = {name: copy.deepcopy(spec.default) for name, spec in declared.items()}
    return {**defaults, **given}


def input_findings(declared: Mapping[str, InputSpec], given: Mapping[str, Any]) -> Iterator[Finding]:
    """Inputs that are missing, not declared, or of another type than declared."""
    for name in given:
        if name not in declared:
            mend = suggestion(name, declared, "this workflow takes no inputs")
            yield Finding(("inputs",), f"no input {name!r} is declared", mend)
    for name, spec in declared.items():
        path = ("inputs", name)
        if name not in given:
            if spec.required:
                about = f": {spec.description}" if spec.description else ""
                yield Finding(path, f"input {name!r} is missing", f"give it a value of type {spec.type}{about}")
        elif not fits(given[name], spec.type) and not (given[name] is None and not spec.required):
            found = describe(given[name])
            yield Finding(
                path, f"input {name!r} is {found}, not of type {spec.type}", f"give a value of type {spec.type}"
            )


def describe(value: Any) -> str:
    """A value in few words, for messages: its type, and the value itself when it is short and plain."""
    if value is None:
        return "null"
    kind = next((word for word, check in _TYPES.items() if check(value)), type(value).__name__)
    shown = repr(value)
    return f"the {kind} {shown}" if isinstance(value, str | int | float) and len(shown) <= 40 else f"of type {kind}"
