"""``def f(x=[])`` becomes ``def f(x=None)`` with a guard that makes a fresh value."""

from __future__ import annotations

import libcst as cst

from workers.tools.python_code.codemods.site_transformer import SiteTransformer
from workers.tools.python_code.parsed import Position


class MakeDefaultInBody(SiteTransformer):
    """Sets the default to None, widens the annotation, and puts the guards below the docstring."""

    def __init__(self, sites: frozenset[Position]) -> None:
        super().__init__(sites)
        self._guards: list[list[cst.BaseStatement]] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:  # noqa: N802
        self._guards.append([])  # functions nest: the guards of the innermost stand last

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:  # noqa: N802
        if updated_node.default is None or not self.is_site(original_node.name):
            return updated_node
        self.rewritten += 1
        self._guards[-1].append(_guard(updated_node.name, updated_node.default))
        annotation = updated_node.annotation
        if annotation is not None and not _admits_none(annotation.annotation):
            annotation = annotation.with_changes(annotation=_or_none(annotation.annotation))
        return updated_node.with_changes(default=cst.Name("None"), annotation=annotation)

    def leave_FunctionDef(  # noqa: N802
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        guards, body = self._guards.pop(), updated_node.body
        if not guards or not isinstance(body, cst.IndentedBlock):
            return updated_node
        after = 1 if updated_node.get_docstring() is not None else 0
        statements = [*body.body[:after], *guards, *body.body[after:]]
        return updated_node.with_changes(body=body.with_changes(body=statements))


def _guard(name: cst.Name, value: cst.BaseExpression) -> cst.BaseStatement:
    name = cst.Name(name.value)
    is_none = cst.Comparison(left=name, comparisons=[cst.ComparisonTarget(cst.Is(), cst.Name("None"))])
    assign = cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(cst.Name(name.value))], value)])
    return cst.If(test=is_none, body=cst.IndentedBlock([assign]))


def _or_none(annotation: cst.BaseExpression) -> cst.BaseExpression:
    return cst.BinaryOperation(left=annotation, operator=cst.BitOr(), right=cst.Name("None"))


def _admits_none(annotation: cst.BaseExpression) -> bool:
    code = cst.Module([]).code_for_node(annotation)
    return code.endswith("| None") or code.startswith(("None |", "Optional[", "typing.Optional["))
