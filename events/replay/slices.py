"""Which part of the log a replay is about: a mission, or all events of one tenant under a subject, within a time.

A subject names events here, not messages: an event that travelled in a frame is found by its own name, and a type whose
subject ends in a key by its type alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent, InvalidInput
from schemas.events import parse
from schemas.ids import token
from schemas.subjects import FRAMED

ANY = "*"
NEVER = datetime.fromtimestamp(0, UTC)
_HINT = "write it as events.TENANT.MISSION.NOUN.VERB, * for any one of them, > for all that follows"


class Slice(Struct, frozen=True):
    """Events of one tenant; every other part is a token, or ``*`` for any.

    Attributes:
        key: last token of the subjects of keyed types; empty for any.
        types: ``task.ready`` or ``task.*``, any of them; empty for all.
        since, until: both inclusive; the event's own time.
    """

    tenant: str
    mission: str = ANY
    noun: str = ANY
    verb: str = ANY
    key: str = ""
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def in_columns(self) -> bool:
        """Whether an archive can tell what belongs to it without looking at any event."""
        return not (self.key or self.since or self.until or (self.types and self.noun != ANY))

    @property
    def filters(self) -> tuple[str, ...]:
        """Subjects under which the log has what it holds, and as little else as the server can tell apart."""
        place = f"events.{self.tenant}.{self.mission}"
        if self.types and self.noun == self.verb == ANY:
            return tuple(sorted({f"{place}.{name.partition('.')[0]}.>" for name in self.types}))
        if self.verb == ANY:
            return (f"{place}.>" if self.noun == ANY else f"{place}.{self.noun}.>",)
        single = f"{place}.{self.noun}.{self.verb}"
        if self.key:
            return (f"{single}.{self.key}",)
        return (single, f"{single}.*", f"{place}.{self.noun}.{FRAMED}")

    def holds(self, event: Event) -> bool:
        """Whether the event belongs to it."""
        noun, _, verb = event.type.partition(".")
        return (
            event.tenant == self.tenant
            and self.mission in (ANY, event.mission)
            and self.noun in (ANY, noun)
            and self.verb in (ANY, verb)
            and (not self.types or event.type in self.types or f"{noun}.*" in self.types)
            and (not self.key or self.key == _key(event))
            and ((self.since is None and self.until is None) or self._in_time(event))
        )

    def _in_time(self, event: Event) -> bool:
        moment = moment_or_never(event)
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)


def slice_of(subject: str, tenant: str, **when: Any) -> Slice:
    """The slice that a subject with wildcards names, within one's own tenant; ``since`` and ``until`` by name.

    Raises:
        InvalidInput: it is no subject of events, or of another tenant.
        InvalidIdentifier: a part of it can be no token.
    """
    kind, *parts = subject.split(".")
    if kind != "events" and subject != ">":
        raise InvalidInput(f"{subject!r} is no subject of events", hint=_HINT)
    rest = parts[-1:] == [">"] or subject == ">"
    named = parts[:-1] if parts[-1:] == [">"] else parts
    if len(named) > 5 or (not rest and len(named) < 4):
        raise InvalidInput(f"{subject!r} has {len(named)} parts behind 'events'", hint=_HINT)
    own, mission, noun, verb, key = (*named, *[ANY] * (5 - len(named)))
    if own not in (ANY, tenant):
        raise InvalidInput(
            f"{subject!r} is of another tenant than {tenant!r}", hint="write * there, or set STIGMERGY_TENANT"
        )
    for what, part in (("mission", mission), ("noun", noun), ("verb", verb), ("key", key)):
        if part not in (ANY, "_"):
            token(part, what)
    return Slice(tenant, mission, noun, verb, "" if key == ANY else key, **when)


def moment_or_never(event: Event) -> datetime:
    """When it happened at its source, aware; the epoch if it does not say so readably."""
    try:
        moment = moment_of(event)
    except InvalidEvent:
        return NEVER
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _key(event: Event) -> str | None:
    try:
        return parse(event).key()
    except InvalidEvent:
        return None
