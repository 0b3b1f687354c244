"""Events from a file or from standard input to the log, line by line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from schemas.envelope import NO_MISSION, Event
from schemas.errors import InvalidEvent, InvalidInput, StigmergyError, Unavailable

if TYPE_CHECKING:
    from stigmergy.client import Client

_LARGEST_DOCUMENT = 64 * 2**20
_SHORT_FORM = {"type", "data", "mission", "subject"}


@dataclass
class Outcome:
    """Ids of what was published, and line and message of what was not."""

    published: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)


async def publish(name: str) -> Outcome:
    """Publish what the file holds. Errors are told at once on standard error.

    Raises:
        InvalidInput: the file cannot be read.
        Unavailable: the log does not answer any more; what was published is on it.
    """
    from stigmergy.client import Client

    outcome = Outcome()
    with _opened(name) as file:
        async with Client(name="cli") as client:
            async for number, value in documents(file):
                try:
                    outcome.published.append(await _publish_one(client, value))
                except Unavailable:
                    raise
                except StigmergyError as error:
                    outcome.errors.append((number, error.message))
                    hint = f" ({error.hint})" if error.hint else ""
                    print(f"error: line {number}: {error.message}{hint}", file=sys.stderr)
    return outcome


async def documents(file: TextIO) -> AsyncIterator[tuple[int, Any]]:
    """Line number, and JSON value or the :class:`InvalidEvent` for a line that is none.

    Each line is a document; so that a pretty-printed one is understood too, a first line that opens an object or a
    list without closing it makes the whole file one document.
    """
    number = 0
    while line := await asyncio.to_thread(file.readline):
        number += 1
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if number == 1 and line.strip() in ("{", "["):
                rest = await asyncio.to_thread(file.read, _LARGEST_DOCUMENT)
                for one in _whole(line + rest):
                    yield 1, one
                return
            yield number, InvalidEvent(f"not JSON: {error}")
            continue
        for one in value if isinstance(value, list) else [value]:
            yield number, one


def _whole(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        return [InvalidEvent(f"not JSON: {error}")]
    return value if isinstance(value, list) else [value]


async def _publish_one(client: Client, value: Any) -> str:
    if isinstance(value, InvalidEvent):
        raise value
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise InvalidEvent("no event: an object with a type is expected", hint='{"type": "note.posted", "data": {…}}')
    if "specversion" in value:
        return (await client.publish_event(_cloud_event(client, value))).id
    if unknown := set(value) - _SHORT_FORM:
        raise InvalidEvent(
            f"unknown fields: {', '.join(sorted(unknown))}",
            hint=f"the short form has {', '.join(sorted(_SHORT_FORM))}; a CloudEvent has a specversion",
        )
    data = value.get("data", {})
    if not isinstance(data, dict):
        raise InvalidEvent("the data are no object")
    mission = value.get("mission") or NO_MISSION
    event = await client.publish(value["type"], data, mission=str(mission), subject=value.get("subject"))
    return event.id


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
