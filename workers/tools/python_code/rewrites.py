"""The outcome of rewriting files in memory, before any of it is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Rewrite:
    """New contents and mended findings by path; a note for everything that was left."""

    contents: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
