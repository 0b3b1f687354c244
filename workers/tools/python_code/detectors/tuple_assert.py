"""``assert (condition, "message")`` tests a pair, and a pair is always true."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``tuple-assert``."""
    for statement in source.all(ast.Assert):
        if isinstance(statement.test, ast.Tuple) and statement.test.elts:
            yield source.site(statement, "tuple-assert", "asserting a tuple can never fail", Severity.ERROR)
