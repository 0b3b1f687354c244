"""One JSON Schema a shape that crosses a process border. Each stands alone: all it refers to is inside it.

Nothing here lists types. Events are found in ``schemas.events``, commands in the union of commands.
"""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

from schemas.attempts import AttemptOrder
from schemas.commands import Command, CommandReply
from schemas.errors import InvalidInput
from schemas.events.base import Payload
from schemas.events.registry import payload_types
from schemas.export.envelopes import envelope_schema, event_schema
from schemas.export.shapes import DIALECT, Schema, definitions, of_model, require

ENVELOPE = "CloudEvent"


def json_schemas() -> dict[str, Schema]:
    """File name to schema (draft 2020-12), in alphabetical order; ``$id`` is a URN of ours."""
    documents = {"envelope.schema.json": _document("envelope:1", envelope_schema())}
    for name, kind in payload_types().items():
        documents[f"event.{name}.schema.json"] = _event_document(kind)
    for verb, command in command_types().items():
        documents[f"command.{verb}.schema.json"] = _document(f"command:{verb}", _command(command))
    documents["command-reply.schema.json"] = _document("command-reply", of_model(CommandReply))
    documents["attempt-order.schema.json"] = _document("attempt-order", of_model(AttemptOrder))
    return dict(sorted(documents.items()))


def command_types() -> dict[str, type[BaseModel]]:
    """All commands by their verb, found in the union that the parser of commands reads."""
    members: tuple[type[BaseModel], ...] = get_args(get_args(Command)[0])
    return dict(sorted((str(member.model_fields["verb"].default), member) for member in members))


def put_beside(named: dict[str, Schema], name: str, schema: Schema) -> None:
    """Add a definition. Raises :class:`InvalidInput` if the name is taken: one of the two would get lost."""
    if name in named:
        raise InvalidInput(f"two schemas are called {name!r}", hint="rename the newer class")
    named[name] = schema


def _event_document(kind: type[Payload]) -> Schema:
    references, named = definitions([kind], "#/$defs")
    data = references[kind]
    mandatory = bool(named[data["$ref"].rpartition("/")[2]].get("required"))
    put_beside(named, ENVELOPE, envelope_schema())
    schema = event_schema(kind, {"$ref": f"#/$defs/{ENVELOPE}"}, data, data_required=mandatory)
    return _document(f"event:{kind.TYPE}:{kind.VERSION}", schema | {"$defs": named})


def _command(model: type[BaseModel]) -> Schema:
    schema = of_model(model)
    require(schema["$defs"][schema["$ref"].rpartition("/")[2]], ["verb"])  # the verb says which command it is
    return schema


def _document(name: str, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "$id": f"urn:stigmergy:{name}", **schema}
