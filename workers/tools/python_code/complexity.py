"""Cyclomatic complexity after T. J. McCabe, "A Complexity Measure", IEEE TSE SE-2(4), 1976.

For a function with one entry and one exit the number is its decision points plus one. Counted as decisions: ``if``,
``elif``, the conditional expression, ``for``, ``while``, each ``except``, each ``and``/``or`` beyond the first operand,
each ``for`` and ``if`` of a comprehension, and each ``case`` that can fail to match. Not counted: ``else``,
``finally``, ``with`` and ``assert``. A nested function has its own number and adds nothing to the outer one; a lambda
adds its decisions to the function it stands in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from schemas.findings import ComplexitySummary, FunctionComplexity
from workers.tools.python_code.parsed import Parsed

LIMIT = 10
_WORST = 10
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ONE = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)


def measure(source: Parsed) -> list[FunctionComplexity]:
    """The numbers of all functions of a file, in the order of their lines."""
    found = [
        FunctionComplexity(path=source.path, name=name, line=node.lineno, complexity=_complexity(node))
        for name, node in _functions(source.tree)
    ]
    return sorted(found, key=lambda each: (each.line, each.name))


def summarise(numbers: Sequence[FunctionComplexity]) -> ComplexitySummary:
    """Mean, highest and the ten worst; equal numbers stand in the order of path and line."""
    ranked = sorted(numbers, key=lambda each: (-each.complexity, each.path, each.line))
    return ComplexitySummary(
        functions=len(ranked),
        mean=round(sum(each.complexity for each in ranked) / len(ranked), 2) if ranked else 0.0,
        highest=ranked[0].complexity if ranked else 0,
        over_ten=sum(each.complexity > LIMIT for each in ranked),
        worst=tuple(ranked[:_WORST]),
    )


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:  # a list of our own, not recursion: machine-written code nests deeper than the stack
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            name = f"{prefix}{child.name}" if isinstance(child, _SCOPES) else ""
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, child
            waiting.append((f"{name}." if name else prefix, child))


def _complexity(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    number = 1
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        number += _decisions(node)
        waiting.extend(ast.iter_child_nodes(node))
    return number


def _decisions(node: ast.AST) -> int:
    if isinstance(node, _ONE):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        return 0 if _always_matches(node) else 1
    return 0


def _always_matches(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
