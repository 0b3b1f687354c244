"""The names under which events and commands travel.

``events.<tenant>.<mission>.<noun>.<verb>`` for one event, ``events.<tenant>.<mission>.<noun>._`` for a frame with
several of one noun. The verb of an event whose type is *keyed* is followed by one more token, so that two writers can
be told apart by the log: ``events.acme.m1.attempt.started.fix-imports:2`` can be written once only.
"""

from __future__ import annotations

from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.ids import token

EVENTS = "EVENTS"
COMMANDS = "COMMANDS"
DEAD_LETTERS = "DEAD_LETTERS"
FRAMED = "_"


def of_event(event: Event, key: str | None = None) -> str:
    """The subject of one event. Raises :class:`InvalidIdentifier` for a tenant, mission or type that cannot be one."""
    subject = f"events.{_tenant(event.tenant)}.{_mission(event.mission)}.{_type(event)}"
    return f"{subject}.{token(key, 'key')}" if key else subject


def of_frame(tenant: str, mission: str, noun: str) -> str:
    """The subject of a frame: several events of one noun in one message."""
    return f"events.{_tenant(tenant)}.{_mission(mission)}.{token(noun, 'noun')}.{FRAMED}"


def of_command(tenant: str, verb: str) -> str:
    """The subject of a command: ``commands.<tenant>.<verb>``."""
    return f"commands.{_tenant(tenant)}.{token(verb, 'command')}"


def mission_filter(tenant: str, mission: str) -> str:
    """All events of one mission."""
    return f"events.{_tenant(tenant)}.{_mission(mission)}.>"


def noun_filter(noun: str, *, tenant: str = "*", mission: str = "*") -> str:
    """All events of one noun, single, framed and keyed."""
    return f"events.{tenant}.{mission}.{noun}.>"


def type_filter(name: str, *, tenant: str = "*", mission: str = "*") -> str:
    """The events of one type that is not keyed, as far as they travel alone."""
    return f"events.{tenant}.{mission}.{name}"


def guard_filter(tenant: str, mission: str, noun: str) -> str:
    """The events of one noun in one mission that share one writer: what compare-and-append compares."""
    return f"events.{_tenant(tenant)}.{_mission(mission)}.{token(noun, 'noun')}.*"


def _tenant(value: str) -> str:
    return token(value, "tenant")


def _mission(value: str) -> str:
    return value if value == "_" else token(value, "mission")


def _type(event: Event) -> str:
    noun, dot, verb = event.type.partition(".")
    if not dot or "." in verb:
        raise InvalidEvent(f"event type {event.type!r} is not of the form noun.verb")
    return f"{token(noun, 'noun')}.{token(verb, 'verb')}"
