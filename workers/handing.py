"""Leaving an attempt by handing its task on."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.errors import InvalidInput, LimitExceeded
from schemas.handoff import NOTES_BYTES, HandOff
from schemas.json_depth import nests_deeper
from workers.output import DEEPEST

WHY_CHARACTERS = 2000


class HandingOff(BaseException):
    """Raised inside an agent to end its attempt with an offer. No ``except Exception`` of its can hold it up."""

    def __init__(self, offer: HandOff) -> None:
        super().__init__(f"handed off to {offer.to}")
        self.offer = offer


def checked_notes(notes: dict[str, Any]) -> dict[str, Any]:
    """The notes as plain JSON values.

    Raises:
        InvalidInput: they are no JSON.
        LimitExceeded: they are larger than 256 KiB, or nest deeper than 100.
    """
    try:
        encoded = msgspec.json.encode(notes)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the notes of a hand-off are no JSON: {error}") from error
    if len(encoded) > NOTES_BYTES:
        raise LimitExceeded(
            f"the notes of a hand-off take {len(encoded) // 1024} KiB, {NOTES_BYTES // 1024} are allowed",
            hint="leave what is large in the workspace: it is handed over with them",
        )
    plain: dict[str, Any] = msgspec.json.decode(encoded)
    if nests_deeper(plain, DEEPEST):
        raise LimitExceeded(f"the notes of a hand-off nest deeper than {DEEPEST}", hint="make them flatter")
    return plain
