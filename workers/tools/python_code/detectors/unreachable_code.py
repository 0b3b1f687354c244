"""Statements after one that always leaves the block."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from schemas.findings import Severity
from workers.tools.python_code.blocks import blocks
from workers.tools.python_code.parsed import Parsed, Site


def find(source: Parsed) -> Iterator[Site]:
    """Rule ``unreachable-code``, at the first such statement of a block.

    A ``yield`` that is never reached is left alone: it makes its function a generator, and that is what it is for.
    """
    for block in blocks(source.tree):
        for statement, following in pairwise(block):
            if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
                if not any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(following)):
                    yield source.site(following, "unreachable-code", "this can never run", Severity.WARNING)
                break
