"""What became of commands that were not carried out. Written by orchestrators only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import Payload


class CommandRefused(Payload):
    """A command was understood but may not be carried out; nothing changed."""

    TYPE: ClassVar[str] = "command.refused"
    verb: str
    code: str
    reason: str
    hint: str = ""
