"""Reading the fields of a mapping: unknown keys, wrong types and bad names become findings, the rest becomes values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.planning.findings import ENOUGH, Finding, Path, suggestion
from orchestrator.planning.inputs import describe
from orchestrator.planning.node import Node
from schemas.errors import InvalidWorkflow

NAME_CAP = 40
"""Characters of a name. Ids of unfolded tasks join three names, and must stay below the limit of a task id."""
NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{NAME_CAP - 1}}}")

type Convert = Callable[[Node], Any]


def plain(node: Node) -> Any:
    """The value as it is written."""
    return node.plain


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a template: the field it becomes, and how its value is read."""

    target: str
    convert: Convert = plain


class FieldReader:
    """Collects what is wrong in ``findings`` while it reads."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def entries[T](self, top: Mapping[str, Node], path: Path, read: Callable[[str, Node, Path], T | None]) -> list[T]:
        """What ``read`` makes of each named entry of the mapping at ``path``; what it cannot read is left out."""
        node = top.get(str(path[-1]))
        if node is None or node.value is None:
            return []
        if node.mapping is None:
            self.note(path, f"{path[-1]!r} is {describe(node.plain)}", "write a mapping, a name before each entry")
            return []
        made: list[T] = []
        for name, inner in node.mapping.items():
            if len(self.findings) > ENOUGH:
                break
            if not NAME.fullmatch(name):
                mend = f"use a letter, then letters, digits, '-' and '_', {NAME_CAP} in all; dots mean something else"
                self.findings.append(Finding((*path, name), f"{name!r} cannot be a name", mend, at_key=True))
            elif (one := read(name, inner, (*path, name))) is not None:
                made.append(one)
        return made

    def known_keys(self, node: Node, known: Any, path: Path, what: str) -> dict[str, Node] | None:
        """The entries of a mapping that have a known key; the others are noted. None for anything but a mapping."""
        if node.mapping is None:
            self.note(
                path, f"{what} is {describe(node.plain)}, not a mapping", f"write keys such as '{next(iter(known))}:'"
            )
            return None
        for key in node.mapping:
            if key not in known:
                self.findings.append(
                    Finding((*path, key), f"{what} has no key {key!r}", suggestion(key, known), at_key=True)
                )
        return {key: inner for key, inner in node.mapping.items() if key in known}

    def made[M: BaseModel](
        self, shape: type[M], entries: Mapping[str, Node], keys: Mapping[str, Key], extra: dict[str, Any], path: Path
    ) -> M | None:
        """A ``shape`` from the entries that ``keys`` knows and the ``extra`` fields; None when one does not fit."""
        before = len(self.findings)
        values = dict(extra)
        for name, key in keys.items():
            if name in entries and entries[name].value is not None:
                values[key.target] = self.converted(entries[name], key.convert, (*path, name))
        if len(self.findings) > before or None in extra.values():
            return None
        try:
            return shape.model_validate(values, strict=True)
        except ValidationError as error:
            written = {key.target: name for name, key in keys.items()}
            for problem in error.errors(include_url=False):
                if not problem["loc"]:  # the parts do not go together
                    self.note(path, problem["msg"].removeprefix("Value error, "))
                    continue
                first, *rest = problem["loc"]
                where = (*path, written.get(str(first), str(first)), *rest)
                shown = describe(problem["input"])
                self.note(where, f"{where[len(path)]!r} is {shown}: {problem['msg'].lower()}", "")
            return None

    def converted(self, node: Node, convert: Convert, path: Path) -> Any:
        """What ``convert`` makes of a value, or None with a note."""
        try:
            return convert(node)
        except InvalidWorkflow as error:
            self.note(path, error.message, error.hint)
            return None

    def text(self, top: Mapping[str, Node], key: str) -> str:
        """The text under ``key``, empty when there is none."""
        value = top[key].plain if key in top else None
        if value is not None and not isinstance(value, str):
            self.note((key,), f"{key!r} is {describe(value)}", "write text")
        return value if isinstance(value, str) else ""

    def mapping(self, top: Mapping[str, Node], path: Path) -> dict[str, Any]:
        """The plain mapping at the end of ``path``, empty when there is none."""
        node = top.get(str(path[-1]))
        if node is None or node.value is None:
            return {}
        if node.mapping is None:
            self.note(path, f"{path[-1]!r} is {describe(node.plain)}", "write a mapping: patch: ${task.output.patch}")
            return {}
        return {key: inner.plain for key, inner in node.mapping.items()}

    def note(self, path: Path, message: str, mend: str = "") -> None:
        """Put a finding on the list."""
        self.findings.append(Finding(path, message, mend))
