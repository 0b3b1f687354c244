"""Merge parallel changes, one after another, onto what they began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.workspaces import MergeConflict
from workers.workspaces.cache import Cache
from workers.workspaces.git import Git, failed, shown

_NOBODY = "stigmergy <> 0 +0000"
_MERGE = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")


@dataclass(frozen=True)
class Outcome:
    """The merged tree, and the sides that are not in it."""

    tree: str
    conflicts: tuple[MergeConflict, ...]


def merge(cache: Cache, git: Git, base: str, sides: Sequence[str]) -> Outcome:
    """Three-way merges in the order of ``sides``; one that conflicts with what is merged so far is left out.

    The result is a function of the trees and their order. Where two sides changed the same lines, the earlier one wins
    and the later one is reported. A file that one side renamed takes the edits of another under its new name.
    """
    tree, conflicts = base, list[MergeConflict]()
    commits: list[str] = []
    for number, side in enumerate(sides):
        if side in (base, tree):
            continue
        if tree == base:
            tree = side
            continue
        if not commits:
            commits = _commits_of(cache, git, base, sides)
        found, paths = _one(git, _commit(cache, git, tree, commits[-1]), commits[number])
        if paths is None:
            tree = found
        else:
            conflicts.append(MergeConflict(side=number, paths=paths))
    return Outcome(tree, tuple(conflicts))


def _one(git: Git, ours: str, theirs: str) -> tuple[str, tuple[str, ...] | None]:
    """The merged tree, and the paths in conflict; None when there is no conflict."""
    answer = git.ask(*_MERGE, ours, theirs)
    if answer.code not in (0, 1):
        raise failed(_MERGE, answer)
    tree, *rest = answer.out.split(b"\0")
    if answer.code == 0:
        return tree.decode(), None
    return tree.decode(), tuple(sorted({shown(path) for path in rest if path}))


# merge-tree finds the common base through the history of commits (a base can be named from git 2.40 on), so each tree
# gets one with a fixed author and date: the ids are the same on every machine.
def _commits_of(cache: Cache, git: Git, base: str, sides: Sequence[str]) -> list[str]:
    """Commits of all sides with two processes; the last in the list is the commit of ``base``, their parent."""
    with cache.scratch() as scratch:
        (root,) = _write(git, scratch, [_text(base, None)])
        return [*_write(git, scratch, [_text(side, root) for side in sides]), root]


def _commit(cache: Cache, git: Git, tree: str, parent: str) -> str:
    return git.run("hash-object", "-t", "commit", "-w", "--stdin", feed=_text(tree, parent).encode()).decode().strip()


def _write(git: Git, scratch: Path, texts: Sequence[str]) -> list[str]:
    paths = [scratch / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    feed = "".join(f"{path.name}\n" for path in paths).encode()
    return git.run("hash-object", "-t", "commit", "-w", "--stdin-paths", feed=feed, cwd=scratch).decode().split()


def _text(tree: str, parent: str | None) -> str:
    history = f"parent {parent}\n" if parent else ""
    return f"tree {tree}\n{history}author {_NOBODY}\ncommitter {_NOBODY}\n\n"
