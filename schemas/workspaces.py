"""File trees as they travel: a snapshot, how two of them differ, and what a merge of several made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.shape import Shape

TreeId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="git's id of the tree")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
ChangeKind = Literal["added", "modified", "deleted"]
FileMode = Literal["file", "executable", "symlink"]
MAX_PACKS = 8


class Snapshot(Shape):
    """A file tree, named by its content: equal trees have equal ``tree`` on every machine.

    Attributes:
        tree: the identity of the content. Two snapshots with the same tree may differ in ``packs``.
        packs: digests of the blobs that rebuild the tree from nothing, oldest first.
        files: number of files and symlinks.
        size_bytes: sum of their sizes; a symlink counts the length of its target.
    """

    tree: TreeId
    packs: tuple[Digest, ...] = Field(min_length=1, max_length=MAX_PACKS)
    files: int = Field(ge=0)
    size_bytes: int = Field(ge=0)


class Change(Shape):
    """One path that differs between two trees.

    Attributes:
        path: POSIX path below the root; bytes that are no UTF-8 are shown as ``\\xNN``.
        kind: ``modified`` covers content, mode, and a file that became a symlink.
        mode: of the newer tree, or of the older one where the path is deleted.
        content: git's id of the content in the newer tree; empty where the path is deleted.
    """

    path: str
    kind: ChangeKind
    mode: FileMode = "file"
    content: str = ""


class MergeConflict(Shape):
    """A side that does not fit what was merged before it. ``side`` is its place in the list, from 0."""

    side: int = Field(ge=0)
    paths: tuple[str, ...]


class Merged(Shape):
    """All sides that fit, in one tree. A side in ``conflicts`` left no trace in ``snapshot``."""

    snapshot: Snapshot
    conflicts: tuple[MergeConflict, ...] = ()
