"""A request without a timeout waits for ever when the other side falls silent."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site

VERBS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request"})


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``missing-timeout``: calls of the functions of the module ``requests``.

    Sessions are left alone: a variable's name does not tell that it holds one. A ``**mapping`` may bring the timeout.
    """
    if not any(
        alias.name == "requests" and not alias.asname for each in source.all(ast.Import) for alias in each.names
    ):
        return
    for call in source.all(ast.Call):
        if _is_request(call.func) and not any(word.arg in ("timeout", None) for word in call.keywords):
            # A * in the arguments may reach the timeout's place; then a second one would be an error.
            fixable = not any(isinstance(argument, ast.Starred) for argument in call.args)
            message = f"{ast.unparse(call.func)} has no timeout"
            yield source.site(call, "missing-timeout", message, Severity.WARNING, fixable=fixable)


def _is_request(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in VERBS
        and isinstance(function.value, ast.Name)
        and function.value.id == "requests"
    )
