"""What became of file trees. Written by workers only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import AttemptPayload


class WorkspaceMerged(AttemptPayload):
    """Parallel changes were merged into one tree."""

    TYPE: ClassVar[str] = "workspace.merged"
    base: str
    merged: str
    sides: tuple[str, ...]


class WorkspaceConflicted(AttemptPayload):
    """One of several parallel changes does not fit the others and was left out."""

    TYPE: ClassVar[str] = "workspace.conflicted"
    side: str
    paths: tuple[str, ...]
