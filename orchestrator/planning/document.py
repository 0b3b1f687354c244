"""YAML text to a tree of values that know their line and column.

It is built from the parser's events and not by a loader: no recursion, so that nesting is capped before it costs
anything; no tags, so that nothing but plain data can come out; aliases are counted as what they expand to, so that a
bomb stops at the cap. Scalars follow the JSON-like core of YAML 1.2: ``null ~ true false``, decimal numbers, else text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestrator.planning.node import Mark, Node, Scalar
from schemas.errors import InvalidWorkflow

SIZE_CAP = 1024 * 1024
DEPTH_CAP = 32
VALUES_CAP = 500_000

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}


def read_document(text: str, name: str) -> Node:
    """The one document in ``text``. Raises :class:`InvalidWorkflow` with ``name``, line and column."""
    if len(text) > SIZE_CAP or len(text.encode("utf-8", "surrogatepass")) > SIZE_CAP:
        raise InvalidWorkflow(f"{name}: larger than {SIZE_CAP // 1024} KiB", hint="pass large values as inputs")
    builder = _Builder(name)
    for event in _events(text, name):
        builder.take(event)
    if builder.root is None:
        raise InvalidWorkflow(f"{name}:1:1: the workflow is empty", hint="begin with 'workflow: <name>' and 'tasks:'")
    return builder.root


def _events(text: str, name: str) -> Iterator[Event]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
        if "'\\t'" in str(error.problem):
            raise InvalidWorkflow(f"{where}: a tab where YAML wants spaces", hint="indent with spaces") from error
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise InvalidWorkflow(f"{where}: not YAML: {what}", hint="check indentation, quotes and brackets") from error
    except YAMLError as error:
        raise InvalidWorkflow(
            f"{name}: not YAML: {str(error).splitlines()[0]}", hint="save it as UTF-8 text"
        ) from error


class _Builder:
    """A stack of open collections; ``take`` feeds it one event."""

    def __init__(self, name: str) -> None:
        self.root: Node | None = None
        self._name = name
        self._open: list[tuple[Node, str | None]] = []  # a collection and its anchor
        self._key: list[tuple[str, Mark] | None] = []  # the key that waits for its value, per open collection
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def take(self, event: Event) -> None:
        match event:
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._error(event, "a second document", "write one workflow to a file")
            case AliasEvent():
                self._place(self._aliased(event), event)
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._begin(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._key.pop()
                node, anchor = self._open.pop()
                self._finish(node, anchor, event)

    def _begin(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        if len(self._open) >= DEPTH_CAP:
            raise self._error(event, f"nested deeper than {DEPTH_CAP} levels", "keep the workflow flat")
        self._refuse_tag(event)
        self._open.append((Node({} if isinstance(event, MappingStartEvent) else [], _mark(event)), event.anchor))
        self._key.append(None)

    def _scalar(self, event: ScalarEvent) -> None:
        if self._open and isinstance(self._open[-1][0].value, dict) and self._key[-1] is None:
            self._take_key(event)
            return
        self._refuse_tag(event)
        if _SURROGATE.search(event.value):
            raise self._error(event, "half a surrogate pair, which is no character", "write the character itself")
        plain = event.implicit[0]
        self._finish(Node(self._typed(event) if plain else event.value, _mark(event)), event.anchor, event)

    def _take_key(self, event: ScalarEvent) -> None:
        seen = self._open[-1][0].keys
        if event.value == "<<":
            raise self._error(event, "merge keys are not supported", "write the entries out")
        if event.value in seen:
            first = seen[event.value][0]
            raise self._error(event, f"{event.value!r} is there twice, first on line {first}", "rename or remove one")
        self._key[-1] = (event.value, _mark(event))

    def _finish(self, node: Node, anchor: str | None, event: Event) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._place(node, event)

    def _place(self, node: Node, event: Event) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1][0]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if len(self._open) + node.height > DEPTH_CAP + 1:  # an alias is deeper than it looks
            raise self._error(event, f"nested deeper than {DEPTH_CAP} levels", "keep the workflow flat")
        if parent.size > VALUES_CAP:
            raise self._error(
                event, f"more than {VALUES_CAP} values", "use fewer aliases, or a group for repeated tasks"
            )
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict):
            waiting = self._key[-1]
            if waiting is None:
                raise self._error(event, "a key that is not plain text", "use a name as the key")
            parent.value[waiting[0]], parent.keys[waiting[0]] = node, waiting[1]
            self._key[-1] = None

    def _aliased(self, event: AliasEvent) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._error(
                event, f"alias *{event.anchor} has no anchor before it", "define it above, outside itself"
            )
        return node

    def _refuse_tag(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
        if event.tag is not None:
            raise self._error(event, f"tags such as {event.tag} are not supported", "write plain values")

    def _typed(self, event: ScalarEvent) -> Scalar:
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            if len(text) > 18:  # surely below 2**63, which is where other readers of JSON stop
                raise self._error(event, "an integer of more than 18 digits", "put it in quotes, to be text")
            return int(text)
        if not _NUMBER.fullmatch(text):
            return text
        number = float(text)
        if not math.isfinite(number):
            raise self._error(event, f"{text} is out of range", "use a number below 1e308")
        return number

    def _error(self, event: Event, message: str, hint: str) -> InvalidWorkflow:
        line, column = _mark(event)
        return InvalidWorkflow(f"{self._name}:{line}:{column}: {message}", hint=hint)


def _mark(event: Event) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1
