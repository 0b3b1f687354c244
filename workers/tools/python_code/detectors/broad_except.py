"""``except:`` catches Ctrl-C and interpreter exits too; a broad handler that only passes hides every mistake."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site

_BROAD = frozenset({"Exception", "BaseException"})
# A handler that uses these deals with every way out on purpose.
_MEANT = frozenset({"exit", "_exit", "exc_info", "print_exc", "format_exc"})


def find(source: Parsed) -> Iterator[Site]:
    """Bare handlers (rule ``bare-except``) and broad ones that do nothing (rule ``swallowed-exception``)."""
    for handler in source.all(ast.ExceptHandler):
        if handler.type is None:
            yield _at(source, handler, "bare-except", "bare except also catches KeyboardInterrupt and SystemExit", True)
        if _is_broad(handler) and all(_is_nothing(statement) for statement in handler.body):
            yield _at(source, handler, "swallowed-exception", "a broad handler swallows the exception", False)


def _at(source: Parsed, handler: ast.ExceptHandler, rule: str, message: str, mendable: bool) -> Site:
    fixable = mendable and not _catches_all_on_purpose(handler)
    line, column = source.position(handler)
    # The site ends with its own line: a noqa at the end of the handler's body speaks of the body.
    return Site(rule, message, Severity.WARNING, (line, column), line, fixable)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in _BROAD)


def _is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Continue)


def _catches_all_on_purpose(handler: ast.ExceptHandler) -> bool:
    """Whether the handler cleans up and raises, ends the process, or hands the exception on."""
    for statement in handler.body:
        for node in ast.walk(statement):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if isinstance(node, ast.Raise) or name in _MEANT:
                return True
    return False
