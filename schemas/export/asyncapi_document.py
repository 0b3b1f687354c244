"""The AsyncAPI 3.0 document: what a client in any language needs to take part.

Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0

It describes several applications at once, one a role; the operations of a role carry its name. Any role may read
every event, therefore reading is written once, for ``anyone``.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.export.channels import PARAMETERS, REPLY, Channel, channels
from schemas.export.messages import messages, schemas
from schemas.export.shapes import Schema
from schemas.export.signals import Signal, signals
from schemas.headers import ANSWER_TO

INTERFACE_VERSION = "1.0.0"
"""Version of the subjects and the envelope. Not the release's: most releases change neither. Types count their own."""


def asyncapi(also: Sequence[Signal] = ()) -> Schema:
    """The whole document as plain JSON values. Raises :class:`UnknownType` for a noun that no role owns.

    Args:
        also: what travels besides, in shapes from rooms that this one may not import.
    """
    beside = [*signals(), *also]
    found = channels(beside)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:stigmergy:asyncapi",
        "info": {
            "title": "Stigmergy",
            "version": INTERFACE_VERSION,
            "description": "Events are facts on a log that anyone may read; commands are wishes that may be refused. "
            "Signals and questions are not kept.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {"nats": _server()},
        "channels": {channel.name: channel.document() for channel in found},
        "operations": _operations(found),
        "components": {
            "schemas": schemas(beside),
            "messages": messages(beside),
            "parameters": {name: {"description": text} for name, text in PARAMETERS.items()},
        },
    }


def _server() -> Schema:
    return {
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "A NATS server with JetStream: the streams EVENTS, COMMANDS and DEAD_LETTERS, a bucket LEADERS.",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "4222"}},
    }


def _operations(found: list[Channel]) -> dict[str, Schema]:
    operations: dict[str, Schema] = {}
    for channel in found:
        if channel.address is None:  # replying is part of the operations that ask
            continue
        for action, roles in (("send", channel.senders), ("receive", channel.receivers)):
            for role in roles:
                operations[f"{role}.{action}.{channel.name}"] = _operation(action, role, channel)
    return dict(sorted(operations.items()))


def _operation(action: str, role: str, channel: Channel) -> Schema:
    operation: Schema = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{name}"} for name in channel.messages],
        "tags": [{"name": str(role)}],
    }
    if channel.reply:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{channel.reply}"},
            "messages": [{"$ref": f"#/channels/{channel.reply}/messages/{channel.reply}"}],
        }
    if channel.reply == REPLY:  # answers to questions go to the reply subject of NATS
        operation["reply"]["address"] = {"location": f"$message.header#/{ANSWER_TO}"}
    return operation
