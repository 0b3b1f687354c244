"""The messages and schemas of the AsyncAPI document.

The schemas are written so that they mean the same in draft 7, which is what AsyncAPI takes a schema without a format
for, and in draft 2020-12: no ``$defs``, and nothing that matters beside a ``$ref``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from schemas.attempts import AttemptOrder
from schemas.commands import CommandReply
from schemas.envelope import FRAME, SINGLE
from schemas.events.registry import payload_types
from schemas.export.channels import REPLY, nouns
from schemas.export.documents import ENVELOPE, command_types, put_beside
from schemas.export.envelopes import envelope_schema, event_schema
from schemas.export.shapes import Schema, definitions, of_structs, require
from schemas.export.signals import BYTES, JSON, Described, Signal, structs_of
from schemas.headers import ANSWER_TO
from schemas.ownership import UNFRAMED
from schemas.subjects import FRAMED

PLACE = "#/components/schemas"
ORDER = "attempt.order"


def schemas(signals: Sequence[Signal]) -> dict[str, Schema]:
    """Everything under ``components/schemas``: payloads under their class's name, events under ``event.<type>``."""
    kinds, commands = payload_types(), command_types()
    every: list[type[BaseModel]] = [*kinds.values(), *commands.values(), CommandReply, AttemptOrder]
    references, named = definitions(every, PLACE)
    for command in commands.values():
        require(named[_name(references[command])], ["verb"])
    put_beside(named, ENVELOPE, envelope_schema())
    for name, kind in kinds.items():
        data = references[kind]
        mandatory = bool(named[_name(data)].get("required"))
        event = event_schema(kind, {"$ref": f"{PLACE}/{ENVELOPE}"}, data, data_required=mandatory)
        put_beside(named, f"event.{name}", event)
    for name, struct in of_structs(structs_of(signals), PLACE).items():
        put_beside(named, name, struct)
    return dict(sorted(named.items()))


def messages(signals: Sequence[Signal]) -> dict[str, Schema]:
    """Everything under ``components/messages``, by the names that the channels use."""
    kinds, commands = payload_types(), command_types()
    references, _ = definitions([*kinds.values(), *commands.values(), CommandReply, AttemptOrder], PLACE)
    found = {name: _message(name, SINGLE, _summary(kind), _event(name)) for name, kind in kinds.items()}
    for noun in nouns():
        if noun not in UNFRAMED:
            found[f"{noun}.{FRAMED}"] = _frame(noun)
    for verb, command in commands.items():
        asked = _message(f"commands.{verb}", JSON, _summary(command), references[command])
        found[f"commands.{verb}"] = asked | {"headers": _answer_header()}
    found[REPLY] = _message(REPLY, JSON, _summary(CommandReply), references[CommandReply])
    about = f"{_summary(AttemptOrder)} It travels through the Celery queue of its skill, not through NATS."
    found[ORDER] = _message(ORDER, JSON, about, references[AttemptOrder])
    for signal in signals:
        found[signal.name] = _of_signal(signal.name, signal, signal.says, signal.about)
        if signal.answers is not None:
            name = f"{signal.name}.answer"
            found[name] = _of_signal(name, signal, signal.answers, f"Of an answer: {signal.parts}.")
    return dict(sorted(found.items()))


def _of_signal(name: str, signal: Signal, shapes: Sequence[Described], about: str) -> Schema:
    payloads = [_payload(shape) for shape in shapes]
    if not payloads:
        payloads = [{} if signal.form == BYTES else {"const": "", "description": "Empty."}]
    message = _message(name, signal.form, about, payloads[0] if len(payloads) == 1 else {"oneOf": payloads})
    return message | ({"headers": signal.headers} if signal.headers else {})


def _payload(shape: Any) -> Schema:
    """A reference to a class's schema, or a schema in which classes may stand for references."""
    if isinstance(shape, dict):
        return {key: _payload(value) if key == "items" else value for key, value in shape.items()}
    return {"$ref": f"{PLACE}/{shape.__name__}"}


def _frame(noun: str) -> Schema:
    members = [_event(name) for name in payload_types() if name.partition(".")[0] == noun]
    payload: Schema = {"type": "array", "minItems": 1, "items": {"oneOf": members}}
    return _message(f"{noun}.{FRAMED}", FRAME, f"A frame: several events of the noun {noun}.", payload)


def _message(name: str, content_type: str, summary: str, payload: Schema) -> Schema:
    return {"name": name, "title": name, "summary": summary, "contentType": content_type, "payload": payload}


def _answer_header() -> Schema:
    inbox: Schema = {"type": "string", "minLength": 1, "description": "subject that the answer is published to"}
    return {"type": "object", "properties": {ANSWER_TO: inbox}}


def _event(name: str) -> Schema:
    return {"$ref": f"{PLACE}/event.{name}"}


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _summary(kind: type[BaseModel]) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
