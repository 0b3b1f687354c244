"""``x == None`` becomes ``x is None``; ``None != x`` becomes ``x is not None``."""

from __future__ import annotations

import libcst as cst

from workers.tools.python_code.codemods.site_transformer import SiteTransformer


class CompareByIdentity(SiteTransformer):
    """Replaces the operator, and puts None on the right."""

    def leave_Comparison(  # noqa: N802
        self, original_node: cst.Comparison, updated_node: cst.Comparison
    ) -> cst.Comparison:
        if len(updated_node.comparisons) != 1:
            return updated_node
        target, first = updated_node.comparisons[0], updated_node.left
        operator = _identity(target.operator)
        on_left = self.is_site(original_node.left) and _is_none(first)
        on_right = self.is_site(original_node.comparisons[0].comparator) and _is_none(target.comparator)
        if operator is None or not (on_left or on_right):
            return updated_node
        self.rewritten += 1
        left, right = (target.comparator, first) if on_left else (first, target.comparator)
        return updated_node.with_changes(
            left=left, comparisons=[cst.ComparisonTarget(operator=operator, comparator=right)]
        )


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _identity(operator: cst.BaseCompOp) -> cst.Is | cst.IsNot | None:
    if not isinstance(operator, cst.Equal | cst.NotEqual):
        return None
    before, after = _space(operator.whitespace_before), _space(operator.whitespace_after)
    if isinstance(operator, cst.Equal):
        return cst.Is(whitespace_before=before, whitespace_after=after)
    return cst.IsNot(whitespace_before=before, whitespace_after=after)


def _space(given: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """The whitespace as it was; ``x==None`` has none, and ``is`` needs some."""
    return cst.SimpleWhitespace(" ") if given.empty else given
