"""Which SQL of a person's own is let through: one statement that only reads, our tables alone, and only computes.

The engine itself takes the statement apart: ``formatQuerySingleLine`` writes it anew, without comments, and refuses all
but one statement; ``EXPLAIN AST`` shows the tree of that text, without running any of it. What is not on the lists
here is refused, so that whatever an engine learns to do is refused until somebody has looked at it. The name of a node
always stands before anything that the asker could have chosen, so no strange alias can hide it.

That only rows of the asker's tenant are seen is the engine's work (see :func:`filters`), not of these lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from schemas.errors import InvalidInput, Refused
from schemas.ids import token

LONGEST = 64 * 1024
Run = Callable[[str, Mapping[str, Any] | None], Sequence[Sequence[Any]]]
"""Runs SQL with parameters and gives its rows; in a session that may only read."""

_STATEMENTS = {"SelectWithUnionQuery", "DescribeQuery", "Explain"}
_EXPLAINS = {"EXPLAIN", "EXPLAIN PIPELINE", "EXPLAIN SYNTAX"}
# Not here: Set (settings), ColumnsApplyTransformer (hides the function that it applies), ASTStreamSettings.
_NODES = {
    *("SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "Subquery", "WithElement", "ExpressionList"),
    *(
        "TablesInSelectQuery",
        "TablesInSelectQueryElement",
        "TableExpression",
        "TableIdentifier",
        "TableJoin",
        "ArrayJoin",
    ),
    *("Identifier", "Literal", "Function", "Asterisk", "QualifiedAsterisk", "SampleRatio", "OrderByElement"),
    *("ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher"),
    *("ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsReplaceTransformer"),
    *("ColumnsReplaceTransformer::Replacement", "WindowDefinition", "WindowListElement", "InterpolateElement"),
    *("QueryParameter", "StorageOrderByElement", "CTESubquery"),
}
_LINE = re.compile(r"( *)(\S+)(?: (.*))?")
_NAME_END = re.compile(r" \((?:alias |children )")


@dataclass(frozen=True, slots=True)
class _Node:
    depth: int
    kind: str
    name: str


def filters(tenant: str, database: str, tables: Iterable[str]) -> str:
    """The value of ``additional_table_filters`` by which the engine reads only rows of one tenant."""
    mine = token(tenant, "tenant")  # letters, digits and _:@~-, so nothing has to be quoted
    return "{" + ", ".join(f"'{database}.{table}': 'tenant = \\'{mine}\\''" for table in tables) + "}"


def checked(sql: str, parameters: Mapping[str, Any], tables: Iterable[str], run: Run) -> str:
    """The statement as the engine writes it, if it may be run.

    Args:
        tables: the names that may be read.
        run: asks the engine.

    Raises:
        InvalidInput: it is no SQL, or not one statement.
        Refused: it does more than read these tables.
    """
    if not sql.strip():
        raise InvalidInput("there is no SQL", hint="for instance: SELECT count() FROM events")
    if len(sql) > LONGEST:
        raise InvalidInput(f"the SQL is longer than {LONGEST:,} characters", hint="write less")
    plain = str(run("SELECT formatQuerySingleLine({sql:String})", {"sql": sql})[0][0])
    _check_kind(plain)
    tree = [_node(str(row[0])) for row in run(f"EXPLAIN AST {plain}", parameters or None)]
    _check_root(tree)
    others = {str(row[0]) for row in run("SELECT name FROM system.databases", None)}
    beside = {str(row[0]) for row in run("SELECT name FROM system.tables WHERE database = currentDatabase()", None)}
    hidden = {name.lower() for name in beside - set(tables)}
    for above, node in zip([None, *tree], tree, strict=False):
        _check_node(node, above, {name.lower() for name in others}, hidden)
    return plain


def _check_kind(plain: str) -> None:
    # Before EXPLAIN AST is put before it, which would make another statement of some, such as of SETTINGS.
    if not re.match(r"\(*(?:SELECT|WITH|FROM|DESCRIBE TABLE|EXPLAIN)\b", plain):
        raise _refused(f"{plain.split(None, 1)[0]} statements")
    if re.match(r"EXPLAIN (?:AST|QUERY TREE|ESTIMATE|TABLE OVERRIDE|CURRENT TRANSACTION)\b", plain):
        raise _refused("this kind of EXPLAIN")


def _node(line: str) -> _Node:
    found = _LINE.fullmatch(line)
    if found is None:
        raise _refused("names with line breaks")
    named = _NAME_END.split(f" {found[3]}" if found[3] else "", maxsplit=1)[0].strip()
    return _Node(len(found[1]), found[2], named)


def _check_root(tree: Sequence[_Node]) -> None:
    root = tree[0]
    if root.kind not in _STATEMENTS:
        raise _refused(f"{root.kind} statements")
    if root.kind == "Explain" and root.name not in _EXPLAINS:
        raise _refused("this kind of EXPLAIN")
    below = [node for node in tree[1:] if node.depth == 1]
    # Behind the statement stands the format that our own client asks for; more is INTO OUTFILE, FORMAT or SETTINGS.
    if below and (below[-1].kind, below[-1].name) == ("Identifier", "Native"):
        below = below[:-1]
    if len(below) > 1:
        raise _refused("INTO OUTFILE, FORMAT or SETTINGS")


def _check_node(node: _Node, above: _Node | None, databases: set[str], hidden: set[str]) -> None:
    if above is None:
        return
    if node.kind == "Set":
        raise _refused("SETTINGS")
    if node.kind not in _NODES:
        raise _refused(f"{node.kind} in a query")
    if node.kind == "Function":
        in_tables = above.kind == "TableExpression" and above.depth == node.depth - 1
        if not (_is_table_function if in_tables else _is_function)(node.name):
            raise _refused(f"the {'table ' if in_tables else ''}function {node.name}")
    elif node.kind == "TableIdentifier":
        if "." in node.name:
            raise _refused(f"{node.name}, a table with its database before it", "write the name alone, such as events")
        if node.name.lower() in hidden:
            raise _refused(f"the table {node.name}", "`stig query list` names the tables")
    elif node.kind == "Identifier" and (
        node.name.lower() in hidden or ("." in node.name and node.name.split(".", 1)[0].lower() in databases)
    ):
        # Behind IN, an identifier may be a table.
        raise _refused(f"the name {node.name}", "give it an alias, if it is a column")


def _refused(what: str, hint: str = "") -> Refused:
    return Refused(
        f"own SQL may not use {what}", hint=hint or "one SELECT over our tables is let through; see docs/query.md"
    )


@cache
def _lists() -> dict[str, frozenset[str]]:
    lists: dict[str, set[str]] = {}
    names: set[str] = set()
    for line in (Path(__file__).parent / "functions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            names = lists.setdefault(line.strip("[]"), set())
        elif not line.startswith("#"):
            names |= {name.lower() for name in line.split()}
    return {name: frozenset(found) for name, found in lists.items()}


def _is_table_function(name: str) -> bool:
    return name.lower() in _lists()["tables"]


def _is_function(name: str) -> bool:
    # Engines tell some names apart by case only where both are harmless: a test looks.
    small = name.lower()
    if small in _lists()["ordinary"]:
        return True
    while small not in _lists()["aggregate"]:
        shorter = next((small.removesuffix(end) for end in _lists()["combinators"] if small.endswith(end)), None)
        if not shorter:
            return False
        small = shorter
    return True
