"""The arguments of ``setup(...)`` in a setup.py, as far as they are written down rather than worked out."""

from __future__ import annotations

import ast
from typing import Any

WANTED = {"name", "version", "install_requires", "tests_require", "extras_require", "ext_modules", "entry_points"}


def setup_arguments(source: str) -> dict[str, Any]:
    """Literal arguments of the call, and of names bound to a literal before it. The file is parsed, never run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}  # Python 2, or no Python at all: it tells nothing
    bound: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _literal(node.value, bound)
            if value is not None:
                bound[node.targets[0].id] = value
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_setup(node.func):
            return {k.arg: _literal(k.value, bound) for k in node.keywords if k.arg in WANTED}
    return {}


def _is_setup(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "setup"


def _literal(node: ast.expr, bound: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return bound.get(node.id)
    if isinstance(node, ast.List | ast.Tuple):
        items = [_literal(item, bound) for item in node.elts]
        return [item for item in items if item is not None]
    if isinstance(node, ast.Dict):
        pairs = {_literal(k, bound): _literal(v, bound) for k, v in zip(node.keys, node.values, strict=True) if k}
        return {k: v for k, v in pairs.items() if isinstance(k, str)}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left, bound), _literal(node.right, bound)
        return left + right if type(left) is type(right) and isinstance(left, list | str) else left or right
    return node.value if isinstance(node, ast.Constant) else None
