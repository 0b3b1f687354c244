"""The statement lists of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def blocks(root: ast.AST, *, into_scopes: bool = True) -> Iterator[list[ast.stmt]]:
    """All lists of statements below ``root``: bodies, else branches, handlers, cases.

    Args:
        into_scopes: whether to enter functions and classes below the root.
    """
    waiting: list[ast.AST] = [root]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):  # the body of a lambda or of a conditional is an expression
                yield block
        if isinstance(node, ast.Module | ast.stmt | ast.excepthandler | ast.match_case):
            waiting.extend(
                child for child in ast.iter_child_nodes(node) if into_scopes or not isinstance(child, _SCOPES)
            )
