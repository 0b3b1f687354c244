"""Where a replay gets its events from: a file, or the log with what was kept of it (:mod:`events.replay.joined`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

import msgspec

from schemas.envelope import Event
from schemas.errors import InvalidInput

_decoder = msgspec.json.Decoder(Event)


class EventSource(Protocol):
    """Events of a mission, or of a slice of the log."""

    def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        """In the order of the log, those behind a sequence; with ``follow`` it waits for more instead of ending."""


class HistoryFile:
    """A mission in a file: one CloudEvent in each line, as ``stig mission events ID --json`` prints them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Event]:
        """All events. Raises :class:`InvalidInput`, with the line at fault."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as error:
            raise InvalidInput(f"cannot read {self._path}: {error.strerror}", hint="check the path") from error
        found: list[Event] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found.append(_decoder.decode(line))
            except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InvalidInput(
                    f"{self._path}, line {number} is no CloudEvent: {error}",
                    hint="`stig mission events ID --json > FILE` writes such files",
                ) from error
        if len({(event.tenant, event.mission) for event in found}) > 1:
            raise InvalidInput(f"{self._path} holds events of several missions", hint="one file, one mission")
        return found

    async def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        """The same; a file has an end, so ``follow`` changes nothing."""
        for event in self.read():
            if event.sequence > after or not after:
                yield event
