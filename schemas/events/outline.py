"""Payloads of which only the outline is made: checked as whole ones are, without the JSON of any shape that they carry.

Whoever folds a mission asks of ``task.ready`` which attempt it announces; the test report that it carries along for the
comparison afterwards is a hundred times as large. msgspec passes over JSON four times as fast as it makes values of it.

The shapes for msgspec follow from the pydantic models. They need not know everything: what is said with certainty is
only that a payload fits. Whatever they do not understand, or refuse, is for pydantic to judge.
"""

from __future__ import annotations

import functools
import operator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.envelope import Event
from schemas.events.base import Payload
from schemas.events.registry import LARGE, check_readable, parse

_PLAIN = (str, int, bool, float, NoneType)
_LONGEST_NUMBER = 4300  # digits: Python itself refuses longer ones


class _Object(msgspec.Struct):
    """A JSON object of any shape; nothing of it is kept."""


def outline(event: Event) -> Payload:
    """The payload with nothing but the fields that every one of its type has; the others have their defaults.

    Only of use for types that deciders write, and whose required fields are texts and numbers. Raises as
    :func:`schemas.events.parse`, and for the same events.
    """
    kind = check_readable(event)
    raw = bytes(event.data)
    if len(raw) > LARGE and not _is_odd(raw):
        try:
            found = _decoder(kind).decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return kind(**{name: getattr(found, name) for name in _required(kind)})
    return parse(event)


def _is_odd(raw: bytes) -> bool:
    """Whether it may hold what msgspec passes over and nobody can read: no UTF-8, endless numbers."""
    now_and_then = raw[::_LONGEST_NUMBER]
    if len(now_and_then.translate(None, b"0123456789")) < len(now_and_then):
        return True
    if raw.isascii():
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


@functools.cache
def _required(kind: type[Payload]) -> tuple[str, ...]:
    return tuple(name for name, about in kind.model_fields.items() if about.is_required())


@functools.cache
def _decoder(kind: type[Payload]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_struct(kind))


@functools.cache
def _struct(kind: type[BaseModel], tag: str | None = None) -> type[msgspec.Struct] | None:
    """The same shape for msgspec, without the fields that it cannot check; None for a model with checks of its own."""
    checks = kind.__pydantic_decorators__
    if checks.validators or checks.field_validators or checks.root_validators or checks.model_validators:
        return None
    fields: list[Any] = []
    for name, about in kind.model_fields.items():
        if name == tag:
            continue
        shape = None if _is_bounded(about) else _shape(about.annotation, about.discriminator)
        if shape is None and about.is_required():
            return None
        if shape is not None:
            fields.append((name, shape) if about.is_required() else (name, shape, None))
    named = {"tag_field": tag, "tag": kind.model_fields[tag].default} if tag else {}
    return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True, kw_only=True, **named)


def _is_bounded(about: FieldInfo) -> bool:
    return bool(about.metadata) or not (about.discriminator is None or isinstance(about.discriminator, str))


def _shape(said: Any, tag: Any = None) -> Any:
    """A type as msgspec has it; None if there is none that accepts no more than pydantic does."""
    if said in _PLAIN or get_origin(said) is Literal:
        return said
    if said == dict[str, Any]:
        return _Object
    if isinstance(said, type) and issubclass(said, BaseModel):
        return _struct(said, tag)
    if get_origin(said) is dict and get_args(said)[0] is str:
        return _filled(dict[str, Any], get_args(said)[1])
    if get_origin(said) is tuple and get_args(said)[1:] == (Ellipsis,):
        return _filled(tuple[Any, ...], get_args(said)[0])
    if get_origin(said) in (Union, UnionType):
        return _union([_shape(each, tag) for each in get_args(said)], tagged=tag is not None)
    return None


def _filled(container: Any, said: Any) -> Any:
    element = _element(said)
    if element is None:
        return None
    return get_origin(container)[tuple(element if arg is Any else arg for arg in get_args(container))]


def _element(said: Any) -> Any:
    """Of a tuple or dictionary. Of what ``Annotated`` says, only the tag of a union is understood."""
    *rest, last = getattr(said, "__metadata__", (None,))
    if last is None:
        return _shape(said)
    known = not rest and isinstance(last, FieldInfo) and not _is_bounded(last)
    return _shape(said.__origin__, last.discriminator) if known else None


def _union(members: list[Any], *, tagged: bool) -> Any:
    """Of a tagged one, members that are not understood are left out; else nothing is certain of any."""
    known = [member for member in members if member is not None]
    if not known or (len(known) < len(members) and not tagged):
        return None
    return functools.reduce(operator.or_, known)
