"""A dictionary display that gives one key twice: the first value is lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``duplicate-key``, at the later of the two equal constant keys."""
    for display in source.all(ast.Dict):
        seen: set[object] = set()
        for key in display.keys:
            if not isinstance(key, ast.Constant):
                continue
            if key.value in seen:
                message = f"the key {str(key.value)[:60]!r} is given twice"
                yield source.site(key, "duplicate-key", message, Severity.WARNING)
            seen.add(key.value)
