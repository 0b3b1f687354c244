"""Copies of recorded events under another name: for another tenant's log, or for bare subjects that nobody stores.

The id of a copy is derived from the original's and the target, so that making the copy again changes nothing; causes
are derived alike, so that what followed from what is the same among the copies.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from events.port import Ack, Log, Window, Write
from schemas.envelope import Event
from schemas.errors import InvalidEvent, InvalidInput
from schemas.events import parse
from schemas.ids import derive, token
from schemas.subjects import mission_filter

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_NO_TIME = "00000000-0000-7000-8000-000000000000"
_LABEL = "copy"
_RESERVED = frozenset({"events", "commands", "dead", "heartbeats", "reflex"})


def copied_id(original: str, target: str) -> str:
    """The id of the copy. Ids that are no UUIDs, as strangers may write them, carry no time over."""
    cause, *labels = [original] if _UUID.fullmatch(original) else [_NO_TIME, original]
    return derive(cause, *labels, _LABEL, target)


def copy_of(event: Event, tenant: str) -> Event:
    """The event as one of another tenant; its time stays, its place in the log is for the log to give.

    Raises:
        InvalidInput: it is of that tenant already.
        InvalidIdentifier: no tenant can have that name.
    """
    if event.tenant == token(tenant, "tenant"):
        raise InvalidInput(
            f"the events are of the tenant {tenant!r} already",
            hint="a replay never writes where it reads: name another",
        )
    return msgspec.structs.replace(
        event,
        id=copied_id(event.id, tenant),
        tenant=tenant,
        source=f"/replay{event.source}",
        causationid=copied_id(event.causationid, tenant) if event.causationid else None,
        correlationid=copied_id(event.correlationid, tenant) if event.correlationid else None,
        sequence=0,
        index=0,
    )


class Sink(Protocol):
    """Where copies go."""

    async def put(self, event: Event) -> bool:
        """Copy one event; False if its copy was there before."""
        ...


class TenantSink:
    """Another tenant of the same log. Use :meth:`open`: it looks up which copies are there already."""

    def __init__(self, log: Log, tenant: str, there: set[str]) -> None:
        self._log = log
        self._tenant = tenant
        self._there = there

    @classmethod
    async def open(cls, log: Log, tenant: str, mission: str) -> TenantSink:
        # The log recognises a repeated id for some minutes only; a copy made again tomorrow must not double either.
        window = Window((mission_filter(token(tenant, "tenant"), mission),))
        return cls(log, tenant, {event.id async for event in log.read(window)})

    async def put(self, event: Event) -> bool:
        copy = copy_of(event, self._tenant)
        if copy.id in self._there:
            return False
        try:
            key = parse(event).key()
        except InvalidEvent:
            key = None  # what this release cannot read is copied as it is
        [done] = await self._log.write([Write((copy,), key=key)])
        if not isinstance(done, Ack):
            raise done
        self._there.add(copy.id)
        return not done.duplicate


class SubjectSink:
    """Bare subjects ``<prefix>.<mission>.<noun>.<verb>``: whoever listens hears them, nobody stores or obeys them.

    Args:
        publish: sends bytes to a subject.

    Raises:
        InvalidInput: the prefix is one that the system itself speaks under, or no subject.
    """

    def __init__(self, publish: Callable[[str, bytes], Awaitable[None]], prefix: str) -> None:
        first, *rest = prefix.split(".")
        if first in _RESERVED:
            raise InvalidInput(f"{prefix!r} belongs to the system", hint="choose another, for instance subject:replay")
        for part in (first, *rest):
            token(part, "subject prefix")
        self._publish = publish
        self._prefix = prefix

    async def put(self, event: Event) -> bool:
        copy = msgspec.structs.replace(event, id=copied_id(event.id, self._prefix), source=f"/replay{event.source}")
        await self._publish(f"{self._prefix}.{event.mission}.{event.type}", msgspec.json.encode(copy))
        return True
