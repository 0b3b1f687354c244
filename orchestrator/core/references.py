"""``${...}`` references: how one task names what another one made.

Grammar::

    reference = "${" path { "??" ( path | value ) } "}"
    path      = name { "." name | "[*]" | "[" digits "]" }
    name      = one of A-Z a-z 0-9 _, then any of those or "~" "-"
    value     = JSON without braces: null, true, false, a number, a text, a list; only as the last

``${analyze.output.groups}``, ``${inputs.depth}``, ``${repair[*].fix.workspace}``. What stands behind ``??`` is taken
where what stands before it is missing: ``${quick.output.answer ?? thorough.output.answer ?? "none"}``. A string that is
exactly one reference stands for the value itself; in a longer string the value is written into the text. ``$${`` writes
a plain ``${``.

What a resolved value holds is never searched for references again: the output of a task cannot reach into the state of
its mission.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Protocol, TypeGuard

from schemas.errors import InvalidWorkflow

type JSON = Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None
type Step = str | int

EVERY = "*"
"""The step ``[*]``. No name can be spelt so, hence it needs no type of its own."""
DEPTH_CAP = 64
_NAMES_SHOWN = 8

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_~-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_~-]*|\[(?:\*|[0-9]{1,9})\])*")
_ELSE = re.compile(r"\s*\?\?\s*")
_STEP = re.compile(r"\[(\*)\]|\[([0-9]+)\]|([A-Za-z0-9_~-]+)")


class ReferenceMissing(InvalidWorkflow):
    """A reference to something that is not there. The message says what is there instead."""

    code = "reference_missing"


class ReferenceAbsent(ReferenceMissing):
    """A reference to what a barrier did not wait for: lists leave it out, and elsewhere it is null."""


@dataclass(frozen=True, slots=True)
class Value:
    """A plain value behind ``??``, as it is written in JSON."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed path: names as text, ``[n]`` as numbers, ``[*]`` as :data:`EVERY`. The first step is a name.

    ``otherwise`` holds what is taken instead, in this order, where nothing is there; these have no ``otherwise``.
    """

    steps: tuple[Step, ...]
    otherwise: tuple[Reference | Value, ...] = ()

    @property
    def head(self) -> str:
        """The first name."""
        return str(self.steps[0])

    @property
    def paths(self) -> tuple[Reference, ...]:
        """This one and those that are taken instead of it."""
        return (self, *(one for one in self.otherwise if isinstance(one, Reference)))

    def __str__(self) -> str:
        alternatives = (one.text if isinstance(one, Value) else spell(one.steps) for one in self.otherwise)
        return f"${{{' ?? '.join((spell(self.steps), *alternatives))}}}"


class Scope(Protocol):
    """What references can see from one place of a mission."""

    def lookup(self, path: Reference) -> JSON:
        """The value at ``path``. Raises :class:`ReferenceMissing`."""
        ...


@dataclass(frozen=True, slots=True)
class MappingScope:
    """A scope over plain values: the first name is a key of ``roots``, the other steps walk into its value."""

    roots: Mapping[str, JSON]

    def lookup(self, path: Reference) -> JSON:
        """The value at ``path``. Raises :class:`ReferenceMissing`."""
        return walk(self.roots, path, 0)


def spell(steps: Sequence[Step]) -> str:
    """``("repair", "*", "fix")`` as people write it: ``repair[*].fix``."""
    return "".join(f"[{step}]" if isinstance(step, int) or step == EVERY else f".{step}" for step in steps).lstrip(".")


@lru_cache(maxsize=4096)  # the tasks of a thousand branches say the same few things
def parse(path: str) -> Reference:
    """The reference whose path (without ``${`` and ``}``) is given. Raises :class:`InvalidWorkflow`."""
    if not _PATH.fullmatch(path):
        raise InvalidWorkflow(
            f"${{{path}}} is no reference",
            hint="write names with dots between them, [*] for every branch, [n] for one: ${task.output.field[0]}",
        )
    if "[" not in path:
        return Reference(tuple(path.split(".")))
    found = (step.groups() for step in _STEP.finditer(path))
    return Reference(tuple(every or (int(number) if number else name) for every, number, name in found))


@lru_cache(maxsize=4096)
def parse_whole(inner: str) -> Reference:
    """What stands between ``${`` and ``}``, alternatives included. Raises :class:`InvalidWorkflow`."""
    if "??" not in inner:
        return parse(inner)
    first, *others = _ELSE.split(inner.strip())
    last = len(others) - 1
    otherwise = tuple(_alternative(one, inner, last=number == last) for number, one in enumerate(others))
    return Reference(parse(first).steps, otherwise)


def _alternative(text: str, inner: str, *, last: bool) -> Reference | Value:
    try:
        json.loads(text)
    except ValueError:
        return parse(text)
    if not last:
        raise InvalidWorkflow(f"${{{inner}}}: nothing is ever taken behind {text}", hint="a plain value comes last")
    return Value(text)


def sole_reference(text: str) -> Reference | None:
    """The reference that ``text`` consists of, or None when it is anything else. Raises :class:`InvalidWorkflow`."""
    match = _TOKEN.fullmatch(text)
    return parse_whole(match[1]) if match is not None and match[1] is not None else None


def references(value: JSON) -> frozenset[Reference]:
    """Every reference in ``value``, however deep. Raises :class:`InvalidWorkflow` for one that cannot be parsed."""
    return frozenset(found for text in _texts(value, 0) for found in _in_text(text))


def resolve(value: JSON, scope: Scope) -> JSON:
    """``value`` with its references replaced by what ``scope`` knows; lists, tuples and mappings keep their kind.

    What is absent behind a barrier is left out of lists and null in mappings.

    Raises:
        ReferenceAbsent: ``value`` as a whole stands for what is absent behind a barrier.
        ReferenceMissing: the scope has no such thing.
        InvalidWorkflow: a reference that cannot be parsed, or nesting deeper than :data:`DEPTH_CAP`.
    """
    return _resolve(value, scope, 0)


def escape(text: str) -> str:
    """``text`` such that :func:`resolve` gives it back as it is."""
    return text.replace("${", "$${")


def split_task(path: Reference, known: Container[str]) -> tuple[str, tuple[Step, ...]] | None:
    """The id that ``path`` begins with, and the steps behind it; None when it begins with no known id.

    Ids of unfolded tasks hold dots (``repair.b1.fix``), so the longest known id wins.
    """
    names = 0
    while names < len(path.steps) and isinstance(path.steps[names], str) and path.steps[names] != EVERY:
        names += 1
    for length in range(names, 0, -1):
        id_ = ".".join(map(str, path.steps[:length]))
        if id_ in known:
            return id_, path.steps[length:]
    return None


def walk(value: JSON, path: Reference, done: int) -> JSON:
    """Follow the steps of ``path`` from number ``done`` on, into ``value``, to which the steps before have led.

    ``[*]`` gives the list of what the steps behind it find in each element. Raises :class:`ReferenceMissing`.
    """
    for at in range(done, len(path.steps)):
        step = path.steps[at]
        if step == EVERY and _is_list(value):
            return [walk(element, path, at + 1) for element in value]
        value = _one_step(value, step, path, at)
    return value


def missing(path: Reference, what: str, there: Sequence[str] = (), wanted: str = "") -> ReferenceMissing:
    """The error for ``path``: ``what`` is not so, ``there`` are the names one could have meant by ``wanted``."""
    near = get_close_matches(wanted, there, 1, 0.6) if wanted else []
    hint = f"did you mean {near[0]!r}?" if near else (f"there is {listed(there)}" if there else "")
    return ReferenceMissing(f"{path} is missing: {what}", hint=hint)


def listed(names: Sequence[str]) -> str:
    """Some names for a message: ``'a', 'b' and 5 more``."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def _is_list(value: JSON) -> TypeGuard[Sequence[JSON]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _one_step(value: JSON, step: Step, path: Reference, at: int) -> JSON:
    if isinstance(step, int) and _is_list(value) and step < len(value):
        return value[step]
    if isinstance(step, str) and isinstance(value, Mapping) and step in value:
        return value[step]
    raise _missing(path, at, value)


def _missing(path: Reference, at: int, value: JSON) -> ReferenceMissing:
    place, step = spell(path.steps[:at]) or "the scope", path.steps[at]
    if isinstance(value, Mapping) and step != EVERY and isinstance(step, str):
        names = sorted(map(str, value))
        return missing(path, f"{place} has no {step!r}, it has {listed(names) or 'nothing'}", names, step)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return missing(path, f"{place} is a list of {len(value)}, which has no {spell((step,))}")
    return missing(path, f"{place} is {_kind(value)}, which has no {spell((step,))}")


def _kind(value: JSON) -> str:
    if value is None:
        return "null"
    return {str: "text", bool: "a truth value", int: "a number", float: "a number"}.get(type(value), "a mapping")


def _in_text(text: str) -> Iterator[Reference]:
    if "${" not in text:
        return
    for token in _TOKEN.finditer(text):
        if token[1] is not None:
            yield parse_whole(token[1])
        elif token[0] == "${":
            raise _unclosed(text)


def _unclosed(text: str) -> InvalidWorkflow:
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return InvalidWorkflow(
        f"a reference in {shown!r} does not end", hint="close it with '}', or write $${ for plain ${"
    )


def _texts(value: JSON, depth: int) -> Iterator[str]:
    _check_depth(depth)
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner, depth + 1)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner, depth + 1)


def _resolve(value: JSON, scope: Scope, depth: int) -> JSON:
    _check_depth(depth)
    if isinstance(value, str):
        return _resolve_text(value, scope)
    if isinstance(value, Mapping):
        return {key: _or_null(inner, scope, depth + 1) for key, inner in value.items()}
    if isinstance(value, Sequence):
        inner = list(_those_there(value, scope, depth + 1))
        return tuple(inner) if isinstance(value, tuple) else inner
    return value


def _or_null(value: JSON, scope: Scope, depth: int) -> JSON:
    try:
        return _resolve(value, scope, depth)
    except ReferenceAbsent:
        return None


def _those_there(values: Sequence[JSON], scope: Scope, depth: int) -> Iterator[JSON]:
    for value in values:
        try:
            found = _resolve(value, scope, depth)
        except ReferenceAbsent:
            continue
        yield found


def _resolve_text(text: str, scope: Scope) -> JSON:
    if "${" not in text:
        return text
    sole = sole_reference(text)
    return _found(sole, scope) if sole is not None else _TOKEN.sub(lambda token: _written(token, text, scope), text)


def _found(reference: Reference, scope: Scope) -> JSON:
    """What the reference, or the first of what it names instead, leads to."""
    if not reference.otherwise:
        return scope.lookup(reference)
    absent: ReferenceMissing | None = None
    for one in (Reference(reference.steps), *reference.otherwise):
        if isinstance(one, Value):
            value: JSON = json.loads(one.text)
            return value
        try:
            return scope.lookup(one)
        except ReferenceMissing as error:
            absent = absent or error
    assert absent is not None
    raise absent


def _written(token: re.Match[str], text: str, scope: Scope) -> str:
    if token[0] == "$${":
        return "${"
    if token[1] is None:
        raise _unclosed(text)
    try:
        value = _found(parse_whole(token[1]), scope)
    except ReferenceAbsent as error:  # a text with a hole in it is worse than none
        raise ReferenceMissing(error.message, hint=error.hint) from error
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=dict)


def _check_depth(depth: int) -> None:
    if depth > DEPTH_CAP:
        raise InvalidWorkflow(f"nested deeper than {DEPTH_CAP} levels", hint="keep the inputs of a task flat")
