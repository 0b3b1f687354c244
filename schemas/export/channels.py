"""The channels of the AsyncAPI document: under which address which messages travel, and who sends them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.events.registry import payload_types
from schemas.export.documents import command_types
from schemas.export.shapes import Schema
from schemas.ownership import UNFRAMED, Role, owner_of
from schemas.subjects import FRAMED

CLIENT = "client"
ANYONE = "anyone"
REPLY = "commands.reply"
ANSWER_TO = "Stigmergy-Answer-To"
"""Header with the inbox for the answer. The reply subject is taken: JetStream acknowledges the command there."""

PARAMETERS: dict[str, str] = {
    "tenant": "The isolation border: 1 to 128 letters, digits, '-', '_', ':', '@' or '~'.",
    "mission": "Id of the mission, or '_' for what belongs to none.",
    "key": "What there may be one such event of: the log accepts a second one with the same key only as a conflict.",
}


@dataclass(frozen=True)
class Channel:
    """One channel: its key in the document, its address, the keys of its messages, who sends and who receives.

    ``address`` is None for the answers to commands: the one who asks chooses where they go.
    """

    name: str
    address: str | None
    messages: tuple[str, ...]
    sender: str
    receiver: str
    about: str

    def document(self) -> Schema:
        """The channel as AsyncAPI writes it."""
        parameters = re.findall(r"{(\w+)}", self.address or "")
        return {
            "address": self.address,
            "description": self.about,
            "servers": [{"$ref": "#/servers/nats"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in self.messages},
            **({"parameters": {p: {"$ref": f"#/components/parameters/{p}"} for p in parameters}} if parameters else {}),
        }


def channels() -> list[Channel]:
    """All channels by name. Raises :class:`UnknownType` for a noun that no role owns."""
    return sorted([*_events(), *_frames(), *_commands()], key=lambda channel: channel.name)


def nouns() -> list[str]:
    """The nouns of all event types, in alphabetical order."""
    return sorted({name.partition(".")[0] for name in payload_types()})


def _events() -> list[Channel]:
    return [
        Channel(
            name=name,
            address=f"events.{{tenant}}.{{mission}}.{name}" + (".{key}" if kind.KEYED else ""),
            messages=(name,),
            sender=owner_of(name.partition(".")[0]),
            receiver=ANYONE,
            about=f"Single events of the type {name}.",
        )
        for name, kind in payload_types().items()
    ]


def _frames() -> list[Channel]:
    return [
        Channel(
            name=f"{noun}.{FRAMED}",
            address=f"events.{{tenant}}.{{mission}}.{noun}.{FRAMED}",
            messages=(f"{noun}.{FRAMED}",),
            sender=owner_of(noun),
            receiver=ANYONE,
            about=f"Several events of the noun {noun} and of one mission in one message, in their order.",
        )
        for noun in nouns()
        if noun not in UNFRAMED
    ]


def _commands() -> list[Channel]:
    asked = [
        Channel(
            name=f"commands.{verb}",
            address=f"commands.{{tenant}}.{verb}",
            messages=(f"commands.{verb}",),
            sender=CLIENT,
            receiver=Role.ORCHESTRATOR,
            about=f"Wishes of the kind {verb}. One orchestrator takes each.",
        )
        for verb in command_types()
    ]
    about = "Answers to commands. Whoever asks chooses the address."
    return [*asked, Channel(REPLY, None, (REPLY,), Role.ORCHESTRATOR, CLIENT, about)]
