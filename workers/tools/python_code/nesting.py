"""How deeply a syntax tree nests, told without recursion."""

from __future__ import annotations

import ast

# libcst's parser is native code that recurses: from some thousands of levels on it overruns the stack, and the process
# with it. Its tree is walked by Python code that gives up far earlier, so nothing is lost by this limit.
MAX_NESTING = 400


def nests_too_deeply(tree: ast.Module) -> bool:
    """Whether libcst is to be spared this tree."""
    level: list[ast.AST] = [tree]
    depth = 0
    wide = 0
    while level and depth + wide <= MAX_NESTING:
        # ``a or b or c`` is one node here and a nest of two there.
        wide = max([wide, *(len(node.values) for node in level if isinstance(node, ast.BoolOp))])
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return bool(level)
