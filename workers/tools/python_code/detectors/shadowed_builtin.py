"""A local name that hides a builtin: the next line that wants the builtin gets something else."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site

# Not all builtins: `id`, `type`, `format` or `input` as parameters are custom, and complaints about them are noise.
_MISSED = frozenset(
    [
        "all",
        "any",
        "bool",
        "bytes",
        "dict",
        "enumerate",
        "filter",
        "float",
        "int",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "object",
        "open",
        "print",
        "range",
        "reversed",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
    ]
)


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``shadowed-builtin``: parameters and assigned names, but not attributes of classes."""
    attributes = {id(name) for each in source.all(ast.ClassDef) for name in _class_attributes(each)}
    for argument in source.all(ast.arg):
        if argument.arg in _MISSED:
            yield _site(source, argument, argument.arg)
    for name in source.all(ast.Name):
        if name.id in _MISSED and isinstance(name.ctx, ast.Store) and id(name) not in attributes:
            yield _site(source, name, name.id)


def _class_attributes(definition: ast.ClassDef) -> Iterator[ast.expr]:
    for statement in definition.body:
        if isinstance(statement, ast.Assign):
            yield from statement.targets
        elif isinstance(statement, ast.AnnAssign):
            yield statement.target


def _site(source: Parsed, node: ast.arg | ast.Name, name: str) -> Site:
    return source.site(node, "shadowed-builtin", f"{name!r} hides the builtin of that name", Severity.INFO)
