"""A mutable default argument is made once and shared by all calls.

When it may be mended (``None`` as the default, and a guard that makes a fresh value):

- the default is a display of constants or an empty ``list()``, ``dict()`` or ``set()``: it means the same in the body;
- the parameter's name does not say that sharing is meant (``cache``, ``memo``, ``registry`` …);
- no decorator could read the signature (only a few harmless ones are let through);
- the body stands on lines of its own and does something;
- an annotation can be widened to ``X | None`` on the oldest Python of the project.

Whether the shared value was relied on under an innocent name cannot be seen here. The test suite decides that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAKERS = frozenset({"list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter"})
_PLAIN_MAKERS = frozenset({"list", "dict", "set"})
_SHARED_ON_PURPOSE = frozenset(["cache", "cached", "memo", "memoized", "registry", "singleton", "shared", "interned"])
_HARMLESS_DECORATORS = frozenset(
    [
        "staticmethod",
        "classmethod",
        "abstractmethod",
        "override",
        "final",
        "wraps",
        "contextmanager",
        "asynccontextmanager",
    ]
)


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``mutable-default``, at the parameter's name."""
    functions: list[_Function] = [*source.all(ast.FunctionDef), *source.all(ast.AsyncFunctionDef)]
    for function in functions:
        usable = _body_takes_a_guard(source, function) and _decorators_are_harmless(function)
        for argument, default in _defaults(function.args):
            if not _is_mutable(default):
                continue
            fixable = usable and _value_can_move(default) and _name_is_innocent(argument.arg)
            fixable = fixable and _annotation_can_widen(source, argument.annotation)
            message = f"the default of {argument.arg!r} is shared by all calls of {function.name}()"
            yield source.site(argument, "mutable-default", message, Severity.WARNING, fixable=fixable)


def _defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument, default


def _is_mutable(default: ast.expr) -> bool:
    if isinstance(default, ast.Call):
        return isinstance(default.func, ast.Name) and default.func.id in _MAKERS
    return isinstance(default, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _value_can_move(default: ast.expr) -> bool:
    if isinstance(default, ast.Call):
        plain = isinstance(default.func, ast.Name) and default.func.id in _PLAIN_MAKERS
        return plain and not default.args and not default.keywords
    try:
        ast.literal_eval(default)
    except (ValueError, TypeError):
        return False
    return True


def _name_is_innocent(name: str) -> bool:
    return not _SHARED_ON_PURPOSE & set(name.lower().split("_"))


def _decorators_are_harmless(function: _Function) -> bool:
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name not in _HARMLESS_DECORATORS:
            return False
    return True


def _body_takes_a_guard(source: Parsed, function: _Function) -> bool:
    body = function.body
    line, column = source.position(body[0])
    if source.lines[line - 1][:column].strip():
        return False  # `def f(x=[]): return x`
    if _is_docstring(body[0]):
        if len(body) > 1 and body[1].lineno == body[0].end_lineno:
            return False  # `"""..."""; x = 1`
        body = body[1:]
    return any(not _is_stub(statement) for statement in body)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and _is_text(statement.value)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_stub(statement: ast.stmt) -> bool:
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass | ast.Raise)


def _annotation_can_widen(source: Parsed, annotation: ast.expr | None) -> bool:
    if annotation is None:
        return True
    if _is_text(annotation):
        return False  # a quoted annotation would have to be rewritten inside its quotes
    return source.floor >= (3, 10) or any(
        each.module == "__future__" and _has_annotations(each) for each in source.all(ast.ImportFrom)
    )


def _has_annotations(statement: ast.ImportFrom) -> bool:
    return any(alias.name == "annotations" for alias in statement.names)
