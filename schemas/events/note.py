"""Notes: what clients have to say. The only noun of ours that anybody may write."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from schemas.events.base import Payload


class NotePosted(Payload):
    """Something a person or a program wants on the record, beside a mission or by itself."""

    TYPE: ClassVar[str] = "note.posted"
    text: str = Field(min_length=1)
    details: dict[str, Any] = Field(default_factory=dict)
