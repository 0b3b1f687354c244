"""``except:`` becomes ``except Exception:``."""

from __future__ import annotations

import libcst as cst

from workers.tools.python_code.codemods.site_transformer import SiteTransformer


class NameTheException(SiteTransformer):
    """Lets KeyboardInterrupt and SystemExit through."""

    def leave_ExceptHandler(  # noqa: N802  (libcst finds its hooks by these names)
        self, original_node: cst.ExceptHandler, updated_node: cst.ExceptHandler
    ) -> cst.ExceptHandler:
        if updated_node.type is not None or not self.is_site(original_node):
            return updated_node
        self.rewritten += 1
        return updated_node.with_changes(
            type=cst.Name("Exception"),
            whitespace_after_except=cst.SimpleWhitespace(" "),
        )
