"""From pydantic models to JSON Schema, in the form that every later document builds on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

type Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODE: JsonSchemaMode = "validation"


def definitions(
    models: Sequence[type[BaseModel]], place: str
) -> tuple[dict[type[BaseModel], Schema], dict[str, Schema]]:
    """References to ``models``, and the schemas of these and of all they use, by name.

    Args:
        place: where the definitions will stand, as a JSON pointer: ``#/$defs`` or ``#/components/schemas``.

    All models of one document must be given at once: two classes of one name then get longer names instead of one
    quietly replacing the other.
    """
    references, whole = models_json_schema([(model, MODE) for model in models], ref_template=f"{place}/{{model}}")
    named: dict[str, Schema] = whole.get("$defs", {})
    _plain_unions(named)
    return {model: references[model, MODE] for model in models}, named


def of_model(model: type[BaseModel]) -> Schema:
    """The schema of one model with everything it refers to under ``$defs``."""
    references, named = definitions([model], "#/$defs")
    return {**references[model], "$defs": named}


def of_structs(structs: Sequence[type[msgspec.Struct]], place: str) -> dict[str, Schema]:
    """The schemas of msgspec's shapes and of all they use, by name. ``place``: as for :func:`definitions`."""
    _, named = msgspec.json.schema_components(structs, ref_template=f"{place}/{{name}}")
    _plain_arrays(named)
    return named


def _plain_arrays(named: dict[str, Schema]) -> None:
    """Say of fields in an array what means the same in both drafts: which types there are, but not at which place."""
    for node in list(nodes(named)):
        if "prefixItems" in node:
            kinds = node.pop("prefixItems")
            node["description"] = f"{node.get('description', '')} Fields, in this order: {_told(kinds)}".strip()
            node["items"] = {"anyOf": [kind for place, kind in enumerate(kinds) if kind not in kinds[:place]]}


def _told(kinds: Sequence[Schema]) -> str:
    return ", ".join(str(kind.get("type") or kind.get("$ref", "").rpartition("/")[2] or "any") for kind in kinds)


def _plain_unions(named: dict[str, Schema]) -> None:
    """Say in plain JSON Schema what pydantic says with ``discriminator``.

    That keyword is OpenAPI's, and AsyncAPI has another of the same name. Pydantic also refuses a member without its
    tag although the tag has a default; ``required`` tells so to readers in other languages.
    """
    for node in list(nodes(named)):
        discriminator = node.get("discriminator")
        if isinstance(discriminator, dict) and "mapping" in discriminator:
            del node["discriminator"]
            for reference in discriminator["mapping"].values():
                require(named[reference.rpartition("/")[2]], [discriminator["propertyName"]])


def require(schema: Schema, names: Iterable[str]) -> None:
    """Make properties mandatory, in place."""
    schema["required"] = sorted({*schema.get("required", ()), *names})


def nodes(value: object) -> Iterator[Schema]:
    """Every JSON object inside ``value``, outermost first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)
