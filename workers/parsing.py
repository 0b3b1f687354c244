"""Whether the Python files that an attempt changed can be parsed: seen by the worker itself, after the agent."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.expectations import Compiles
from schemas.workspaces import Change, Snapshot
from workers.context import Context

_MOST_BYTES = 4 * 2**20
_MOST_SHOWN = 50


def unreadable_files(
    context: Context, product: dict[str, Any] | None, changes: Sequence[Change] | None
) -> dict[str, str] | None:
    """Path to what is wrong with it. None if no expectation asks, or there is no workspace.

    The tree that was stored is read, not the agent's folder, which a process of its own might still change.
    """
    if product is None or changes is None or not any(isinstance(one, Compiles) for one in context.order.expects):
        return None
    paths = sorted(one.path for one in changes if one.kind != "deleted" and one.path.endswith(".py"))
    if not paths:
        return {}
    folder = context.scratch("parsed")
    context.bench.workspaces.materialise(Snapshot.model_validate(product), folder)
    found: dict[str, str] = {}
    for path in paths:
        problem = _problem(folder / path)
        if problem and len(found) < _MOST_SHOWN:
            found[path] = problem
    return found


def _problem(file: Path) -> str:
    if file.is_symlink() or not file.is_file():
        return ""
    if file.stat().st_size > _MOST_BYTES:
        return f"larger than {_MOST_BYTES // 2**20} MiB"
    try:
        ast.parse(file.read_bytes())
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
