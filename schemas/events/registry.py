"""From a type's name to its class, and from an envelope to its typed payload."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, cast

import msgspec
from pydantic import ValidationError

from schemas import events as package
from schemas.envelope import Event
from schemas.errors import InvalidEvent, NewerVersion, UnknownType
from schemas.events.base import Payload
from schemas.json_depth import may_nest_deeper
from schemas.ownership import OWNERS, Role

LARGE = 1024
"""Bytes from which on another way of reading than pydantic's is worth it."""


@cache
def payload_types() -> dict[str, type[Payload]]:
    """All event types by name: every file of ``schemas.events``, and classes of users with nouns of their own."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found: dict[str, type[Payload]] = {}
    waiting = list(Payload.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        ours = kind.__module__.startswith(f"{package.__name__}.")
        if kind.TYPE and (ours or kind.TYPE.partition(".")[0] not in OWNERS):
            found[kind.TYPE] = kind
    return dict(sorted(found.items()))


def type_named(name: str) -> type[Payload]:
    """The class of an event type. Raises :class:`UnknownType`."""
    kind = payload_types().get(name)
    if kind is None:
        payload_types.cache_clear()  # a class of the user's may have been defined since
        kind = payload_types().get(name)
    if kind is None:
        raise UnknownType(f"unknown event type {name!r}", hint="`stig schema list` shows the types of this release")
    return kind


def check_readable(event: Event) -> type[Payload]:
    """The class for an event this release can read. Raises :class:`UnknownType` or :class:`NewerVersion`."""
    kind = type_named(event.type)
    if event.dataversion > kind.VERSION:
        raise NewerVersion(
            f"event {event.id} is {event.type} version {event.dataversion}; this release reads up to {kind.VERSION}",
            hint="update this process, then retry the dead letter",
        )
    return kind


def parse(event: Event) -> Payload:
    """The typed payload of an event.

    Raises:
        UnknownType, NewerVersion: this release cannot read it.
        InvalidEvent: the data does not fit its schema; the message names the fields.
    """
    kind = check_readable(event)
    try:
        return _validated(kind, bytes(event.data))
    except ValidationError as error:
        raise InvalidEvent(
            f"event {event.id} of type {event.type} does not fit its schema: {explain(error)}"
        ) from error


def _validated(kind: type[Payload], raw: bytes) -> Payload:
    """The payload. Of JSON of any shape pydantic makes values half as fast as msgspec does."""
    validator: Any = kind.__pydantic_validator__  # model_validate takes half as long again for small ones
    if kind.LOOSE and len(raw) > LARGE and (_by_deciders(kind) or not may_nest_deeper(raw)):
        try:
            plain = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # pydantic is less strict in some respects, and says where it is wrong
        else:
            return cast(Payload, validator.validate_python(plain))
    return cast(Payload, validator.validate_json(raw))


@cache
def _by_deciders(kind: type[Payload]) -> bool:
    """Whether only deciders may write it: that nests no deeper than what they have read, and looking costs a fifth."""
    return OWNERS.get(kind.TYPE.partition(".")[0]) in (Role.ORCHESTRATOR, Role.TASK_QUEUE_MANAGER)


def explain(error: ValidationError, most: int = 5) -> str:
    """The problems of a validation in one line: ``field: what is wrong; …``."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in p['loc']) or 'value'}: {p['msg']}" for p in problems[:most]]
    if len(problems) > most:
        shown.append(f"and {len(problems) - most} more")
    return "; ".join(shown)
