"""``eval`` and ``exec`` run whatever text reaches them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``dynamic-code``: calls of the builtins by name. Methods called ``eval`` are something else."""
    for call in source.all(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec"):
            yield source.site(call, "dynamic-code", f"{call.func.id} runs text as code", Severity.WARNING)
