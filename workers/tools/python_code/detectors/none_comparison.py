"""``x == None`` asks the object; ``x is None`` asks whether it is None."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from schemas.findings import Severity
from workers.tools.python_code.parsed import Parsed, Site

# Libraries whose objects answer == with a query or an array: there `== None` is meant.
_OVERLOADING = frozenset(
    [
        "sqlalchemy",
        "sqlmodel",
        "peewee",
        "pony",
        "numpy",
        "pandas",
        "polars",
        "xarray",
        "dask",
        "pyspark",
        "sympy",
        "z3",
        "tinydb",
        "boto3",
        "google",
        "ibis",
        "duckdb",
        "mongoengine",
        "beanie",
        "tortoise",
        "elasticsearch_dsl",
        "flask_sqlalchemy",
        "torch",
        "jax",
        "pyarrow",
    ]
)


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``none-comparison``, at the ``None``. Chains such as ``a == None == b`` are left alone."""
    fixable = not _overloads_equality(source)
    for compare in source.all(ast.Compare):
        sides = (compare.left, compare.comparators[0])
        nones = [side for side in sides if isinstance(side, ast.Constant) and side.value is None]
        if len(compare.ops) != 1 or len(nones) != 1 or not isinstance(compare.ops[0], ast.Eq | ast.NotEq):
            continue
        wanted = "is" if isinstance(compare.ops[0], ast.Eq) else "is not"
        yield source.site(
            nones[0], "none-comparison", f"compare with None by `{wanted}`", Severity.WARNING, fixable=fixable
        )


def _overloads_equality(source: Parsed) -> bool:
    """Whether the file works with such a library, or defines an ``__eq__`` of its own that ``==`` may be meant for."""
    modules = [alias.name for each in source.all(ast.Import) for alias in each.names]
    modules += [each.module or "" for each in source.all(ast.ImportFrom)]
    if any(module.partition(".")[0] in _OVERLOADING for module in modules):
        return True
    return any(function.name == "__eq__" for function in source.all(ast.FunctionDef))
