"""``requests.get(url)`` becomes ``requests.get(url, timeout=30)``."""

from __future__ import annotations

import libcst as cst

from workers.tools.python_code.codemods.site_transformer import SiteTransformer
from workers.tools.python_code.detectors.missing_timeout import VERBS

SECONDS = 30


class AddTimeout(SiteTransformer):
    """Appends the keyword; one per line stays one per line."""

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:  # noqa: N802
        # In requests.get(u).json() the outer call starts at the same place; only the inner one is a request.
        if not self.is_site(original_node) or not _is_request(updated_node.func):
            return updated_node
        self.rewritten += 1
        timeout = cst.Arg(
            keyword=cst.Name("timeout"),
            value=cst.Integer(str(SECONDS)),
            equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
        )
        return updated_node.with_changes(args=_appended(updated_node, timeout))


def _appended(call: cst.Call, new: cst.Arg) -> list[cst.Arg]:
    if not call.args:
        return [new]
    *others, last = call.args
    between: cst.BaseParenthesizableWhitespace = cst.SimpleWhitespace(" ")
    if others and isinstance(others[-1].comma, cst.Comma):
        between = others[-1].comma.whitespace_after
    elif not call.whitespace_before_args.empty:
        between = call.whitespace_before_args
    # The new argument takes the last one's tail, so a trailing comma and the place of the bracket stay.
    new = new.with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    separated = last.with_changes(
        comma=cst.Comma(whitespace_after=between), whitespace_after_arg=cst.SimpleWhitespace("")
    )
    return [*others, separated, new]


def _is_request(function: cst.BaseExpression) -> bool:
    return (
        isinstance(function, cst.Attribute)
        and function.attr.value in VERBS
        and isinstance(function.value, cst.Name)
        and function.value.value == "requests"
    )
