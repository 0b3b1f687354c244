"""The channels of the AsyncAPI document: under which address which messages travel, and who sends them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.events.registry import payload_types
from schemas.export.documents import command_types
from schemas.export.shapes import Schema
from schemas.export.signals import Signal
from schemas.headers import END, ERROR, OK
from schemas.ownership import UNFRAMED, Role, owner_of
from schemas.subjects import FRAMED

CLIENT = "client"
ANYONE = "anyone"
REPLY = "commands.reply"

PARAMETERS: dict[str, str] = {
    "tenant": "The isolation border: 1 to 128 letters, digits, '-', '_', ':', '@' or '~'.",
    "mission": "Id of the mission, or '_' for what belongs to none.",
    "key": "What there may be one such event of: the log accepts a second one with the same key only as a conflict.",
    "worker": "Name of a worker process.",
    "stop": "Id of a stop that stays in force until it is lifted.",
    "topic": "What agents answer questions about.",
    "agent": "Name of an agent, or '_' for any.",
    "request": "Id of a request.",
    "model": "A read model: world, archive or analytics.",
    "host": "Name of a process that hosts a read model.",
    "group": "A group of leaders: orchestrator, task-queue or scaler.",
    "member": "Name of a process in a group of leaders.",
    "number": "Number of a partition, from 0.",
    "consumer": "Who could not read it: reader or commands.",
    "sequence": "Where it was in its stream.",
}


@dataclass(frozen=True)
class Channel:
    """One channel: its key in the document, its address, the keys of its messages, who sends and who receives.

    ``address`` is None for answers: the one who asks chooses where they go. ``reply`` is the channel of the answers.
    """

    name: str
    address: str | None
    messages: tuple[str, ...]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    about: str
    reply: str = ""

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


def channels(signals: Sequence[Signal]) -> list[Channel]:
    """All channels by name. Raises :class:`UnknownType` for a noun that no role owns."""
    beside = [channel for signal in signals for channel in _of_signal(signal)]
    return sorted([*_events(), *_frames(), *_commands(), *beside], key=lambda channel: channel.name)


def nouns() -> list[str]:
    """The nouns of all event types, in alphabetical order."""
    return sorted({name.partition(".")[0] for name in payload_types()})


def _events() -> list[Channel]:
    return [
        Channel(
            name=name,
            address=f"events.{{tenant}}.{{mission}}.{name}" + (".{key}" if kind.KEYED else ""),
            messages=(name,),
            senders=(owner_of(name.partition(".")[0]),),
            receivers=(ANYONE,),
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
            senders=(owner_of(noun),),
            receivers=(ANYONE,),
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
            senders=(CLIENT,),
            receivers=(Role.ORCHESTRATOR,),
            about=f"Wishes of the kind {verb}. One orchestrator takes each.",
            reply=REPLY,
        )
        for verb in command_types()
    ]
    about = "Answers to commands. Whoever asks chooses the address."
    return [*asked, Channel(REPLY, None, (REPLY,), (Role.ORCHESTRATOR,), (CLIENT,), about)]


def _of_signal(signal: Signal) -> list[Channel]:
    asked = Channel(signal.name, signal.address, (signal.name,), signal.senders, signal.receivers, signal.about)
    if signal.answers is None:
        return [asked]
    name = f"{signal.name}.answer"
    about = (
        f"Answers to {signal.name}, on the inbox of whoever asks: {signal.parts}. A message with the header {END} ends "
        f"them: '{OK}', or '{ERROR}' and what was wrong."
    )
    answer = Channel(name, None, (name,), signal.receivers, signal.senders, about)
    return [replace(asked, reply=name), answer]
