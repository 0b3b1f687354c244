"""``f = open(p) … f.close()`` and ``x = open(p).read()`` become a ``with``."""

from __future__ import annotations

import libcst as cst

from workers.tools.python_code.codemods.site_transformer import SiteTransformer
from workers.tools.python_code.detectors.unclosed_file import HANDLE

_Statement = cst.BaseStatement
_LINE_END = cst.TrailingWhitespace()


class OpenInWith(SiteTransformer):
    """Wraps the statements that use the file; blocks are handled from the inside out."""

    def __init__(self, sites: frozenset[tuple[int, int]]) -> None:
        super().__init__(sites)
        self._opened: list[cst.Call] = []
        self._of_line: dict[cst.CSTNode, cst.Call] = {}

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:  # noqa: N802
        is_open = isinstance(updated_node.func, cst.Name) and updated_node.func.value == "open"
        if is_open and self.is_site(original_node):
            self._opened.append(updated_node)
        return updated_node

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        if self._opened:
            self._of_line[updated_node] = self._opened.pop()
            self._opened.clear()
        return updated_node

    def leave_IndentedBlock(  # noqa: N802
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        return updated_node.with_changes(body=self._wrapped(list(updated_node.body)))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:  # noqa: N802
        wrapped = self._wrapped([each for each in updated_node.body if isinstance(each, _Statement)])
        return updated_node.with_changes(body=wrapped)

    def _wrapped(self, body: list[_Statement]) -> list[_Statement]:
        result: list[_Statement] = []
        while body:
            statement = body.pop(0)
            call = self._of_line.get(statement)
            name = _assigned_name(statement, call)
            end = next((at for at, each in enumerate(body) if name and _closes(each, name)), None)
            if call is None or not isinstance(statement, cst.SimpleStatementLine) or (name and end is None):
                # The last case: two files whose lives overlap; the section of the first took the close of neither.
                result.append(statement)
                continue
            self.rewritten += 1
            if name and end is not None:
                # Files may be opened within the section too: it is looked through on its own.
                result.append(_with(statement, call, name, self._wrapped(body[:end]), statement.trailing_whitespace))
                body = body[end + 1 :]
            else:
                result.append(_with(statement, call, HANDLE, [_using_handle(statement, call)], _LINE_END))
        return result


def _assigned_name(statement: _Statement, call: cst.Call | None) -> str:
    """The f of ``f = open(...)``, or nothing."""
    if call is None or not isinstance(statement, cst.SimpleStatementLine):
        return ""
    assign = statement.body[0]
    if isinstance(assign, cst.Assign) and assign.value is call and isinstance(assign.targets[0].target, cst.Name):
        return assign.targets[0].target.value
    return ""


def _closes(statement: _Statement, name: str) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and (
        cst.Module([]).code_for_node(statement.body[0]).strip() == f"{name}.close()"
    )


def _with(
    line: cst.SimpleStatementLine, call: cst.Call, name: str, body: list[_Statement], header: cst.TrailingWhitespace
) -> cst.With:
    item = cst.WithItem(item=call.with_changes(lpar=[], rpar=[]), asname=cst.AsName(name=cst.Name(name)))
    return cst.With(items=[item], body=cst.IndentedBlock(body, header=header), leading_lines=line.leading_lines)


def _using_handle(line: cst.SimpleStatementLine, call: cst.Call) -> cst.SimpleStatementLine:
    changed = line.deep_replace(call, cst.Name(HANDLE))
    if not isinstance(changed, cst.SimpleStatementLine):
        raise TypeError("replacing an expression gave another statement")
    return changed.with_changes(leading_lines=[])
