"""Codemods: each rewrites the sites that the detector of its rule called fixable, and keeps every other byte."""

from __future__ import annotations

from collections.abc import Callable

from workers.tools.python_code.codemods.bare_except import NameTheException
from workers.tools.python_code.codemods.missing_timeout import AddTimeout
from workers.tools.python_code.codemods.mutable_default import MakeDefaultInBody
from workers.tools.python_code.codemods.none_comparison import CompareByIdentity
from workers.tools.python_code.codemods.site_transformer import SiteTransformer
from workers.tools.python_code.codemods.unclosed_file import OpenInWith
from workers.tools.python_code.parsed import Position

CODEMODS: dict[str, Callable[[frozenset[Position]], SiteTransformer]] = {
    "bare-except": NameTheException,
    "missing-timeout": AddTimeout,
    "mutable-default": MakeDefaultInBody,
    "none-comparison": CompareByIdentity,
    "unclosed-file": OpenInWith,
}
