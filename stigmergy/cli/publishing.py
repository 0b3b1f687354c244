"""Events from a file or from standard input to the log, line by line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from schemas.envelope import NO_MISSION, Event
from schemas.errors import Cancelled, InvalidEvent, InvalidInput, LogUnavailable, StigmergyError, Unavailable
from stigmergy.cli.lines import Lines
from stigmergy.cli.publishing_progress import Progress, kept_in

if TYPE_CHECKING:
    from events.buffered import BufferedPublisher
    from events.recent import Recent
    from stigmergy.client import Client

_LARGEST_DOCUMENT = 64 * 2**20
_SHORT_FORM = {"type", "data", "mission", "subject"}
_AGAIN_S = 600.0
_TELL_LINES, _TELL_S = 10_000, 2.0
_KEEP_LINES = 20_000


@dataclass
class Outcome:
    """What became of the lines.

    Attributes:
        errors: line and message of what was not published, in the order in which it turned out.
        duplicates: events that the log had already.
        passed: lines that an earlier try did.
        lost: the log did not answer any more.
    """

    errors: list[tuple[int, str]] = field(default_factory=list)
    duplicates: int = 0
    passed: int = 0
    lost: Unavailable | None = None
    _lines: dict[str, int] = field(default_factory=dict)

    @property
    def published(self) -> list[str]:
        """Ids of what is on the log; while publishing goes on, also of what is on its way there."""
        return list(self._lines)

    @property
    def count(self) -> int:
        return len(self._lines)

    def taken(self, number: int, event: Event) -> None:
        self._lines.setdefault(event.id, number)

    def refused(self, number: int, error: StigmergyError) -> None:
        """Tell it at once."""
        self.errors.append((number, error.message))
        hint = f" ({error.hint})" if error.hint else ""
        print(f"error: line {number}: {error.message}{hint}", file=sys.stderr)

    def failed(self, event: Event, error: StigmergyError) -> None:
        """It was on its way and did not arrive. A log that is away is one error, told at the end."""
        number = self._lines.pop(event.id, 0)
        if isinstance(error, Unavailable):
            self.lost = self.lost or error
        elif not isinstance(error, Cancelled):
            self.refused(number, error)


async def publish(name: str, progress_file: Path | None = None) -> Outcome:
    """Publish what the file holds. Errors are told at once on standard error.

    Events that come with an id are not published again if the log got them in the last ten minutes, in whichever
    message they were: a file can be published again, also after it has grown.

    Args:
        progress_file: where to keep how far it is, or where an earlier try has: then its lines are passed over, and no
            event is doubled, whether it came with an id or not, and however long ago that was.

    Raises:
        InvalidInput: the file cannot be read, or the progress is not that of this file.
        Conflict: somebody else publishes with this progress.
        Unavailable: the log does not answer any more, or the progress cannot be kept; what was published is on the log.
    """
    from events.buffered import BufferedPublisher
    from events.recent import Recent
    from stigmergy.client import Client

    outcome = Outcome()
    file = _opened(name)
    try:
        async with Client(name="cli") as client, AsyncExitStack() as kept:
            log, progress = client.bus.log, None
            recent = Recent(log, _AGAIN_S)
            if progress_file is not None:
                progress = kept.enter_context(kept_in(progress_file, await log.last_sequence()))
                if progress.resumed:
                    recent = Recent(log, first=progress.mark.sequence + 1)
                outcome.passed = progress.mark.lines

            def failed(event: Event, error: StigmergyError) -> None:
                recent.forget(event)
                outcome.failed(event, error)

            async with BufferedPublisher(log, on_failure=failed) as publisher:
                await _publish_all(_Publishing(client, publisher, recent, outcome, progress), file)
    finally:
        if name != "-":  # whoever closes standard input waits until the thread that reads it has a line
            file.close()
    if outcome.lost is not None:
        at = f"{outcome.count:,} events were published before"
        raise LogUnavailable(f"{outcome.lost.message}; {at}", hint=outcome.lost.hint)
    return outcome


@dataclass(frozen=True)
class _Publishing:
    client: Client
    publisher: BufferedPublisher
    recent: Recent
    outcome: Outcome
    progress: Progress | None

    async def all_arrived(self) -> bool:
        """Whether all that was taken is on the log or refused; waits until that is known."""
        await self.publisher.flush()
        return self.outcome.lost is None


async def _publish_all(to: _Publishing, file: TextIO) -> None:
    told, told_at = 0, time.monotonic()
    log, progress = to.client.bus.log, to.progress
    async with aclosing(documents(file, progress)) as found:
        async for number, value in found:
            if progress and number > progress.mark.lines + _KEEP_LINES and await to.all_arrived():
                progress.save(await log.last_sequence())
            try:
                await _publish_one(to, number, value)
            except Unavailable:
                raise
            except StigmergyError as error:
                to.outcome.refused(number, error)
            if to.outcome.lost is not None:
                return
            if number - told >= _TELL_LINES and time.monotonic() - told_at >= _TELL_S:
                told, told_at = number, time.monotonic()
                done = to.outcome.count - to.publisher.waiting
                print(f"{number:,} lines, {done:,} events published", file=sys.stderr)
    if progress and await to.all_arrived():
        progress.finish(await log.last_sequence())


async def documents(file: TextIO, progress: Progress | None = None) -> AsyncGenerator[tuple[int, Any]]:
    """Line number, and JSON value or the :class:`InvalidEvent` for a line that is none.

    Each line is a document; so that a pretty-printed one is understood too, a first line that opens an object or a
    list without closing it makes the whole file one document. Lines that are done, as ``progress`` says, are left out.
    """
    lines = Lines(file)
    try:
        async for number, line in _numbered(lines):
            if (progress and progress.done(number, line)) or not line.strip():
                continue
            if progress and _opens_a_whole(number, line):
                raise InvalidInput("one document over several lines has no progress to keep", hint="write one a line")
            for one in await _values(number, line, lines):
                yield number, one
    finally:
        lines.stop()


async def _numbered(lines: Lines) -> AsyncIterator[tuple[int, str]]:
    number = 0
    async for line in lines:
        number += 1
        yield number, line


async def _values(number: int, line: str, lines: Lines) -> list[Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        if _opens_a_whole(number, line):
            return _whole(line + await lines.rest(_LARGEST_DOCUMENT))
        return [InvalidEvent(f"not JSON: {error}")]
    return value if isinstance(value, list) else [value]


def _opens_a_whole(number: int, line: str) -> bool:
    return number == 1 and line.strip() in ("{", "[")


def _whole(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        return [InvalidEvent(f"not JSON: {error}")]
    return value if isinstance(value, list) else [value]


async def _publish_one(to: _Publishing, number: int, value: Any) -> None:
    event = _event(to.client, value)
    given = "specversion" in value
    if to.progress and not given:
        event = msgspec.structs.replace(event, id=to.progress.identify())
    to.client.check(event)
    if (given or to.progress) and await to.recent.seen(event):
        to.outcome.duplicates += 1
    else:
        try:
            await to.publisher.publish(event)
        except StigmergyError:
            to.recent.forget(event)
            raise
    to.outcome.taken(number, event)


def _event(client: Client, value: Any) -> Event:
    if isinstance(value, InvalidEvent):
        raise value
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise InvalidEvent("no event: an object with a type is expected", hint='{"type": "note.posted", "data": {…}}')
    if "specversion" in value:
        return _cloud_event(client, value)
    if unknown := set(value) - _SHORT_FORM:
        raise InvalidEvent(
            f"unknown fields: {', '.join(sorted(unknown))}",
            hint=f"the short form has {', '.join(sorted(_SHORT_FORM))}; a CloudEvent has a specversion",
        )
    data = value.get("data", {})
    if not isinstance(data, dict):
        raise InvalidEvent("the data are no object")
    mission = value.get("mission") or NO_MISSION
    return client.event(value["type"], data, mission=str(mission), subject=value.get("subject"))


def _cloud_event(client: Client, value: dict[str, Any]) -> Event:
    """A whole envelope; the tenant is ours if it names none. Sequence and index are for the log to give."""
    given = {name: part for name, part in value.items() if name not in ("sequence", "index")}
    given.setdefault("tenant", client.settings.tenant)
    given["data"] = msgspec.Raw(msgspec.json.encode(value.get("data", {})))
    if given["tenant"] != client.settings.tenant:
        raise InvalidEvent(f"the event belongs to the tenant {given['tenant']!r}", hint="set STIGMERGY_TENANT")
    try:
        return msgspec.convert(given, Event)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"not a CloudEvent of ours: {error}") from error


def _opened(name: str) -> TextIO:
    if name == "-":
        # A copy, so that closing it leaves standard input to whoever runs us.
        return open(sys.stdin.fileno(), encoding="utf-8", errors="backslashreplace", closefd=False)
    try:
        return open(name, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {error.strerror}", hint="check the path") from error
