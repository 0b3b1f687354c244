"""Imports that look unused in their own file, and are not: other files take the name from there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

from workers.tools.python_code.parsed import Parsed

_DOTTED = re.compile(r"^[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+$")
_QUOTED = re.compile(r"`([^`]+)`")


class Reexports:
    """Knows which names the files of a repository take from which modules, by the last part of the module's name."""

    def __init__(self, sources: Mapping[str, Parsed]) -> None:
        self._taken: set[tuple[str, str]] = set()
        for source in sources.values():
            self._taken.update(_takes(source))
        self._modules = {_stem(path) for path in sources}
        self._tops = {part for path in sources for part in path.split("/")[:-1]} | self._modules

    def needs(self, path: str, message: str) -> bool:
        """Whether the import that ruff's ``message`` names is wanted by others, or is a module of the repository.

        A module of one's own that is imported and not used is most likely imported for what it does on import.
        """
        match = _QUOTED.search(message)
        imported, _, alias = (match[1] if match else "").partition(" as ")
        name = imported.rpartition(".")[2]
        stem = _stem(path)
        if (stem, "*") in self._taken:
            return True
        if any((stem, each) in self._taken for each in (alias, name, imported.partition(".")[0]) if each):
            return True
        own = imported.startswith(".") or imported.partition(".")[0] in self._tops
        return own and name in self._modules


def _stem(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return folder.rpartition("/")[2] if name == "__init__.py" else name.removesuffix(".py")


def _takes(source: Parsed) -> Iterable[tuple[str, str]]:
    for statement in source.all(ast.ImportFrom):
        stem = (statement.module or "").rpartition(".")[2]
        yield from ((stem, alias.name) for alias in statement.names)
    for attribute in source.all(ast.Attribute):
        if isinstance(attribute.value, ast.Name | ast.Attribute):
            owner = attribute.value.id if isinstance(attribute.value, ast.Name) else attribute.value.attr
            yield owner, attribute.attr
    for text in source.all(ast.Constant):
        # The targets of mock.patch and of plug-in tables are dotted names in strings.
        if isinstance(text.value, str) and len(text.value) < 200 and _DOTTED.match(text.value):
            parts = text.value.split(".")
            yield parts[-2], parts[-1]
