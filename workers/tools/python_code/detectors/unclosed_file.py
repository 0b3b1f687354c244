"""Files that are opened and not closed by a ``with``.

Two shapes are looked for, because in these the file surely does not leave the function:

- *read at once*: ``x = open(p).read()`` or ``json.load(open(p))``; nothing closes it at all;
- *closed by hand*: ``f = open(p)``, some statements, ``f.close()`` in the same block; an exception between leaks it.

They may be mended when the statements between run straight through (no return, loop exit or yield), the name is not
used anywhere else in the function, and no comment stands at the ``close()``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.blocks import blocks
from workers.tools.python_code.parsed import Parsed, Site

HANDLE = "handle"  # the name that a file read at once is given
_READERS = frozenset({"read", "readline", "readlines"})
_LOADERS = frozenset({"json.load", "pickle.load", "tomllib.load", "yaml.safe_load"})
_JUMPS = (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom, ast.Await, ast.Delete, ast.Global)


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``unclosed-file``, at the call of ``open``."""
    if not any(name.id == "open" for name in source.all(ast.Name)):
        return
    scopes: list[ast.AST] = [source.tree, *source.all(ast.FunctionDef, ast.AsyncFunctionDef)]
    free = all(name.id != HANDLE for name in source.all(ast.Name)) and all(
        argument.arg != HANDLE for argument in source.all(ast.arg)
    )
    for scope in scopes:
        for block in blocks(scope, into_scopes=False):
            yield from _read_at_once(source, block, free)
            if scope is not source.tree:  # a module's variable may be read from anywhere
                yield from _closed_by_hand(source, scope, block)


def _site(source: Parsed, call: ast.Call, message: str, fixable: bool) -> Site:
    return source.site(call, "unclosed-file", message, Severity.WARNING, fixable=fixable)


def _read_at_once(source: Parsed, block: list[ast.stmt], free: bool) -> Iterator[Site]:
    for statement in block:
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr) and isinstance(value, ast.Call):
            call = _opened_first(value)
            if call is not None:
                fixable = free and _stands_alone(source, statement)
                yield _site(source, call, "the file is read and never closed", fixable)


def _opened_first(value: ast.expr) -> ast.Call | None:
    """The ``open`` call that is evaluated before all else in ``open(p).read().strip()`` or ``json.load(open(p))``."""
    while isinstance(value, ast.Call):
        if ast.unparse(value.func) in _LOADERS and len(value.args) == 1 and is_open(value.args[0]):
            return value.args[0] if isinstance(value.args[0], ast.Call) else None
        if not isinstance(value.func, ast.Attribute):
            return None
        owner = value.func.value
        if is_open(owner) and value.func.attr in _READERS:
            return owner if isinstance(owner, ast.Call) else None
        value = owner
    return None


def is_open(node: ast.expr) -> bool:
    """Whether this is a call of the builtin ``open``."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"


def _closed_by_hand(source: Parsed, scope: ast.AST, block: list[ast.stmt]) -> Iterator[Site]:
    for start, statement in enumerate(block):
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and is_open(statement.value)):
            continue
        target, call = statement.targets[0], statement.value
        if isinstance(target, ast.Name) and isinstance(call, ast.Call):
            end = next((at for at in range(start + 1, len(block)) if is_close(block[at], target.id)), None)
            if end is not None:
                fixable = end > start + 1 and _straight(source, scope, block[start : end + 1], target.id)
                yield _site(source, call, f"{target.id!r} is closed by hand: an exception leaves it open", fixable)


def is_close(statement: ast.stmt, name: str) -> bool:
    """Whether the statement is ``name.close()``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) and not call.args and not call.keywords else None
    owner = function.value if isinstance(function, ast.Attribute) and function.attr == "close" else None
    return isinstance(owner, ast.Name) and owner.id == name


def _straight(source: Parsed, scope: ast.AST, section: list[ast.stmt], name: str) -> bool:
    nodes = [node for statement in section for node in ast.walk(statement)]
    inside = sum(isinstance(node, ast.Name) and node.id == name for node in nodes)
    everywhere = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(scope))
    if inside != everywhere or any(isinstance(node, (*_JUMPS, ast.FunctionDef, ast.Lambda)) for node in nodes):
        return False
    if sum(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in nodes) != 1:
        return False
    close, before = section[-1], section[-2]
    tail = source.lines[(before.end_lineno or before.lineno) : close.lineno]
    return _stands_alone(source, section[0]) and _stands_alone(source, close) and not any("#" in line for line in tail)


def _stands_alone(source: Parsed, statement: ast.stmt) -> bool:
    """Whether no other statement shares the lines: no ``a; b``, no ``if x: a``."""
    line, column = source.position(statement)
    last = source.lines[(statement.end_lineno or line) - 1].encode()[statement.end_col_offset or 0 :].decode().strip()
    return not source.lines[line - 1][:column].strip() and (not last or last.startswith("#"))
