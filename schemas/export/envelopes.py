"""The schema of the envelope, and of an event: the envelope with one type's data in it."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from schemas.envelope import NO_MISSION, Event
from schemas.events.base import Payload
from schemas.export.shapes import Schema

_WORD = "[A-Za-z0-9][A-Za-z0-9_:@~-]{0,127}"
_NAME = "[A-Za-z0-9][A-Za-z0-9_:@~-]*"
_UUID7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_MOMENT = r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})"

# What the types of the attributes cannot say. The attributes themselves are found in the envelope.
RULES: dict[str, Schema] = {
    "specversion": {"const": "1.0", "description": "version of CloudEvents"},
    "id": {"pattern": f"^{_UUID7}$"},
    "source": {"minLength": 1, "format": "uri-reference"},
    "type": {"pattern": rf"^{_NAME}\.{_NAME}$"},
    "time": {"pattern": f"^{_MOMENT}$", "format": "date-time"},
    "tenant": {"pattern": f"^{_WORD}$"},
    "mission": {"pattern": f"^({NO_MISSION}|{_WORD})$"},
    "subject": {"minLength": 1},
    "datacontenttype": {"const": "application/json", "description": "media type of the payload"},
    "dataversion": {"minimum": 1},
    "dataref": {"minLength": 1, "description": "content hash of a payload left at the blob store; data is then empty"},
    "causationid": {"minLength": 1},
    "correlationid": {"minLength": 1},
    "traceparent": {"pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    "sequence": {"minimum": 0},
    "index": {"minimum": 0},
    "data": {"type": "object"},
}


def envelope_schema() -> Schema:
    """What every event has, whatever its type.

    ``specversion`` is mandatory, as CloudEvents has it. Unknown attributes are allowed if CloudEvents allows them:
    lower-case letters and digits, with a string, an integer or a boolean.
    """
    fields = msgspec.structs.fields(Event)
    told = _described()
    return {
        "title": "CloudEvent",
        "description": "The envelope of every event: CloudEvents 1.0 in the JSON format.",
        "type": "object",
        "properties": {field.name: _attribute(field, told) for field in fields},
        "required": sorted({"specversion", *(field.name for field in fields if field.required)}),
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
        "additionalProperties": {"type": ["string", "integer", "boolean"]},
    }


def event_schema(kind: type[Payload], envelope: Schema, data: Schema, *, data_required: bool) -> Schema:
    """The envelope with the type and the data of ``kind``.

    Args:
        envelope, data: the two schemas, or references to them.
        data_required: whether the data has mandatory fields; an empty payload may be left out.
    """
    version: Schema = {"const": kind.VERSION}
    schema: Schema = {
        "title": kind.TYPE,
        "description": inspect.getdoc(kind) or "",
        "type": "object",
        "allOf": [envelope],
        "properties": {"type": {"const": kind.TYPE}, "dataversion": version},
        "if": {"required": ["dataref"]},
        "then": {"properties": {"data": {"maxProperties": 0}}},
        "else": {"properties": {"data": data}},
    }
    if data_required:
        schema["else"]["required"] = ["data"]
    if kind.VERSION > 1:  # a reader takes an event without this attribute for version 1
        schema["required"] = ["dataversion"]
    return schema


def _attribute(field: msgspec.structs.FieldInfo, told: dict[str, str]) -> Schema:
    schema: Schema = {} if field.type is msgspec.Raw else _present(msgspec.json.schema(field.type))
    if field.name in told:
        schema["description"] = told[field.name]
    if isinstance(field.default, str | int):
        schema["default"] = field.default
    return schema | RULES.get(field.name, {})


def _present(schema: Schema) -> Schema:
    """The type without null: an attribute that is not set is left out."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return dict(kinds[0]) if len(kinds) == 1 else schema


def _described() -> dict[str, str]:
    """What the envelope's docstring says about each attribute."""
    _, _, listed = (inspect.getdoc(Event) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n     +.+)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
