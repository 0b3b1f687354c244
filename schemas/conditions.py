"""Conditions: small expressions that are looked at, never run.

Python's grammar for comparisons, ``and``, ``or``, ``not``, ``+ - * / %``, constants, lists, ``a if b else c``,
``value.field`` and ``value["field"]`` for entries of objects, and the functions ``len``, ``min``, ``max``, ``sum``,
``abs``. The text is parsed and walked: there is no name, attribute or call that reaches anything of Python's own.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

NAMES = frozenset({"output", "inputs", "changes", "tests", "exit_code", "duration_s", "tools"})
_FUNCTIONS: dict[str, Callable[..., Any]] = {"len": len, "min": min, "max": max, "sum": sum, "abs": abs}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_COMPUTE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


def check_condition(text: str) -> None:
    """Raises ValueError for what is no condition; the message says what is in the way."""
    for node in ast.walk(_parsed(text)):
        problem = _problem(node)
        if problem:
            raise ValueError(f"{problem} is not possible in a condition: {text!r}")


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether the condition is true. Raises ValueError, saying why, where it cannot be told."""
    check_condition(text)
    try:
        return bool(_value(_parsed(text), values))
    except (TypeError, KeyError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def number_of(text: str, values: Mapping[str, Any]) -> float:
    """What an expression of this grammar comes to, such as ``output.score``. Raises ValueError if it is no number."""
    check_condition(text)
    try:
        value = _value(_parsed(text), values)
    except (TypeError, KeyError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{text!r} is {value!r}, which is no number")
    return float(value)


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a condition: {text!r}") from error


_PLAIN = (
    ast.BoolOp, ast.And, ast.Or, ast.Not, ast.UnaryOp, ast.USub, ast.Compare, ast.Constant, ast.List, ast.Tuple,
    ast.IfExp, ast.Subscript, ast.Attribute, ast.Load, ast.BinOp, *_COMPARE, *_COMPUTE,
)  # fmt: skip


def _problem(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return "" if node.id in NAMES or node.id in _FUNCTIONS else f"the name {node.id!r}"
    if isinstance(node, ast.Call):
        plain = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
        return "" if plain else "this call"
    if isinstance(node, ast.Constant):
        return "" if isinstance(node.value, str | int | float | bool | None) else "this constant"
    return "" if isinstance(node, _PLAIN) else type(node).__name__


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:  # noqa: C901 - one line a kind of node
    def of(inner: ast.AST) -> Any:
        return _value(inner, values)

    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return values[name]
        case ast.Attribute(inner, name):
            return _entry(of(inner), name)
        case ast.Subscript(inner, key):
            return _entry(of(inner), of(key))
        case ast.List(items) | ast.Tuple(items):
            return [of(item) for item in items]
        case ast.BoolOp(ast.And(), parts):
            return all(of(part) for part in parts)
        case ast.BoolOp(_, parts):
            return any(of(part) for part in parts)
        case ast.UnaryOp(ast.Not(), inner):
            return not of(inner)
        case ast.UnaryOp(_, inner):
            return -of(inner)
        case ast.IfExp(test, yes, no):
            return of(yes) if of(test) else of(no)
        case ast.BinOp(left, how, right):
            return _computed(how, of(left), of(right))
        case ast.Call(ast.Name(name), arguments):
            return _FUNCTIONS[name](*(of(one) for one in arguments))
        case ast.Compare(left, hows, others):
            return _compared(
                of(left), [(_COMPARE[type(how)], of(other)) for how, other in zip(hows, others, strict=True)]
            )
        case _:
            raise TypeError(type(node).__name__)


def _entry(value: Any, key: Any) -> Any:
    if isinstance(value, dict | list) and not isinstance(key, list | dict):
        return value[key]
    raise TypeError(f"{type(value).__name__} has no entry {key!r}")


def _computed(how: ast.operator, left: Any, right: Any) -> Any:
    for side in (left, right):  # no text or list is multiplied: a small condition could fill the memory
        if not isinstance(side, int | float):
            raise TypeError("arithmetic is for numbers")
    return _COMPUTE[type(how)](left, right)


def _compared(left: Any, steps: list[tuple[Callable[[Any, Any], Any], Any]]) -> bool:
    for compare, right in steps:
        if not compare(left, right):
            return False
        left = right
    return True
