"""The part of JSON Schema in which an output can be described, and whether a value fits.

Understood are ``type``, ``properties``, ``required``, ``additionalProperties`` (true or false), ``items``, ``enum``,
``const``, ``minimum``, ``maximum``, ``minLength``, ``maxLength``, ``minItems`` and ``maxItems``, with the meaning of
https://json-schema.org/draft/2020-12, and ``title`` and ``description``, which mean nothing. Another keyword is an
error when the schema is written, not a check that silently does not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KEYWORDS = frozenset({"type", "properties", "required", "additionalProperties", "items", "enum", "const"}) | {
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "title", "description"
}  # fmt: skip
_BOUNDS: dict[str, tuple[tuple[str, ...], Callable[[Any, Any], bool], str]] = {
    "minimum": (("number",), lambda value, bound: value >= bound, "is below"),
    "maximum": (("number",), lambda value, bound: value <= bound, "is above"),
    "minLength": (("string",), lambda value, bound: len(value) >= bound, "is shorter than"),
    "maxLength": (("string",), lambda value, bound: len(value) <= bound, "is longer than"),
    "minItems": (("array",), lambda value, bound: len(value) >= bound, "has fewer items than"),
    "maxItems": (("array",), lambda value, bound: len(value) <= bound, "has more items than"),
}


def check_shape(shape: Any, where: str = "schema") -> None:
    """Raises ValueError for what is no schema, or one with keywords that are not understood."""
    if not isinstance(shape, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004 - pydantic reports ValueErrors
    unknown = sorted(set(shape) - _KEYWORDS)
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r}, which is not understood here")
    if shape.get("type", "object") not in _TYPES:
        raise ValueError(f"{where} has the type {shape['type']!r}; the types are {', '.join(_TYPES)}")
    if shape.get("additionalProperties", True) not in (True, False):
        raise ValueError(f"additionalProperties of {where} must be true or false")
    for name in _BOUNDS:
        if name in shape and (isinstance(shape[name], bool) or not isinstance(shape[name], int | float)):
            raise ValueError(f"{name} of {where} is no number")
    for name, kind in (("required", list), ("enum", list), ("properties", dict)):
        if name in shape and not isinstance(shape[name], kind):
            raise ValueError(f"{name} of {where} is no {kind.__name__}")
    for name, inner in shape.get("properties", {}).items():
        check_shape(inner, f"{where}.{name}")
    if "items" in shape:
        check_shape(shape["items"], f"{where}.items")


def misfits(value: Any, shape: dict[str, Any], where: str = "output") -> Iterator[str]:
    """What is wrong with a value, in words."""
    wanted = shape.get("type")
    if wanted is not None and not _is(value, wanted):
        yield f"{where} is no {wanted}"
        return
    if "enum" in shape and not any(_same(value, one) for one in shape["enum"]):
        yield f"{where} is none of {shape['enum']}"
    if "const" in shape and not _same(value, shape["const"]):
        yield f"{where} is not {shape['const']!r}"
    for name, (kinds, fits, words) in _BOUNDS.items():
        if name in shape and any(_is(value, kind) for kind in kinds) and not fits(value, shape[name]):
            yield f"{where} {words} {shape[name]}"
    if isinstance(value, dict):
        yield from _of_object(value, shape, where)
    if isinstance(value, list | tuple) and "items" in shape:
        for number, item in enumerate(value):
            yield from misfits(item, shape["items"], f"{where}[{number}]")


def _of_object(value: dict[str, Any], shape: dict[str, Any], where: str) -> Iterator[str]:
    properties = shape.get("properties", {})
    for name in shape.get("required", ()):
        if name not in value:
            yield f"{where} lacks {name}"
    for name, inner in value.items():
        if name in properties:
            yield from misfits(inner, properties[name], f"{where}.{name}")
        elif shape.get("additionalProperties", True) is False:
            yield f"{where} has {name}, which is not in the schema"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _same(one: Any, other: Any) -> bool:
    """Equal, and true is not 1."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)
