"""Detectors over the syntax tree: each file finds one kind of flaw, and judges which of its finds may be mended.

A detector takes a parsed file and yields sites. It alone decides what is ``fixable``: the codemods rewrite the sites
they are given and hold no opinions, so what the analyzer offers and what the coder does cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from workers.tools.python_code.detectors import (
    broad_except,
    duplicate_key,
    dynamic_code,
    missing_timeout,
    mutable_default,
    none_comparison,
    shadowed_builtin,
    tuple_assert,
    unclosed_file,
    unreachable_code,
)
from workers.tools.python_code.parsed import Parsed, Site

DETECTORS: tuple[Callable[[Parsed], Iterable[Site]], ...] = (
    broad_except.find,
    duplicate_key.find,
    dynamic_code.find,
    missing_timeout.find,
    mutable_default.find,
    none_comparison.find,
    shadowed_builtin.find,
    tuple_assert.find,
    unclosed_file.find,
    unreachable_code.find,
)


def detect(source: Parsed) -> Iterator[Site]:
    """All sites of a file that its authors did not silence."""
    for find in DETECTORS:
        for site in find(source):
            if not source.suppressions.silence(site.rule, site.position[0], site.end_line):
                yield site
