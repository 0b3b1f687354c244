"""What has to be read of the log to fold missions."""

from __future__ import annotations

from orchestrator.core.evolve import FOLDED_TYPES, GUARDED_NOUNS

_OTHERS = [name for name in FOLDED_TYPES if name.partition(".")[0] not in GUARDED_NOUNS]
# Of other roles' nouns only what is folded, and frames, which may hold it: every message costs a wake-up.
FOLDED_SUBJECTS: tuple[str, ...] = (
    *(f"{noun}.>" for noun in GUARDED_NOUNS),
    *_OTHERS,
    *sorted({f"{name.partition('.')[0]}._" for name in _OTHERS}),
)
"""Endings of subjects."""
