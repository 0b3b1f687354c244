"""The base of all codemods: a transformer that acts at given positions only."""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from schemas.errors import InvalidSource
from workers.tools.python_code.parsed import Position


class SiteTransformer(cst.CSTTransformer):
    """Rewrites the nodes that start at ``sites`` and counts what it rewrote."""

    def __init__(self, sites: frozenset[Position]) -> None:
        super().__init__()
        self._sites = sites
        self._ranges: Mapping[cst.CSTNode, CodeRange] = {}
        self.rewritten = 0

    def is_site(self, original: cst.CSTNode) -> bool:
        """Whether a node of the tree as it was starts at one of the sites."""
        place = self._ranges.get(original)
        return place is not None and (place.start.line, place.start.column) in self._sites

    def rewrite(self, data: bytes) -> bytes:
        """The file with its sites rewritten. Encoding, byte order mark and line ends stay as they are.

        Raises:
            InvalidSource: expressions nest deeper than the interpreter's stack.
            libcst.ParserSyntaxError: the file uses grammar that libcst does not know.
        """
        wrapper = MetadataWrapper(cst.parse_module(data), unsafe_skip_copy=True)
        try:
            self._ranges = wrapper.resolve(PositionProvider)
            return wrapper.module.visit(self).bytes
        except (RecursionError, KeyError) as error:
            # Where the stack ends within libcst's own bookkeeping, it surfaces as a KeyError.
            raise InvalidSource(
                "expressions nest too deeply for a rewrite", hint="split the long expression"
            ) from error
