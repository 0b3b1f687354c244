"""Where a replay gets its events from: the log, or a file. An archive that is joined to the live log is one more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

import msgspec

from events.port import Log, Window
from schemas.envelope import Event
from schemas.errors import InvalidInput
from schemas.subjects import mission_filter

_decoder = msgspec.json.Decoder(Event)


class EventSource(Protocol):
    """The events of one mission."""

    def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        """In the order of the log, those behind a sequence; with ``follow`` it waits for more instead of ending."""


class LogSource:
    """A mission as the log has it."""

    def __init__(self, log: Log, tenant: str, mission: str) -> None:
        self._log = log
        self._filter = mission_filter(tenant, mission)

    async def events(self, *, follow: bool, after: int = 0) -> AsyncGenerator[Event]:
        window = Window((self._filter,), after + 1)
        if not follow:
            async for event in self._log.read(window):
                yield event
            return
        async for batch in self._log.follow(window):
            for event in batch.events:
                yield event


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
