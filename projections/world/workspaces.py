"""The fold of file trees: what confirmed attempts wrote, and which files open attempts may write.

Branches of a mission work on trees of their own at the same time, so "the content of a file" has no meaning without
a tree. Every confirmed write is kept with its tree, and every tree with its base: what a file is in a tree is what the
nearest write along that lineage says. The head of a mission is its newest confirmed tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from projections.world.state import (
    KEPT_TREES,
    KEPT_WRITES,
    Claim,
    FileState,
    FileWrite,
    Mission,
    TaskState,
    Tree,
    Word,
)
from schemas.attempts import AttemptOrder
from schemas.envelope import Event
from schemas.expectations import FilesChangedWithin


def confirmed(mission: Mission, task: TaskState, event: Event) -> Mission:
    """The files after the task's word, which the world has confirmed."""
    word = task.word
    if word is None or not word.tree:
        return mission
    files = mission.files
    for path, change in word.changes.items():
        known = files.get(path) or FileState(path)
        write = FileWrite(
            tree=word.tree,
            change=change,
            content="" if change == "deleted" else word.contents.get(path, ""),
            task=task.id,
            attempt=task.attempt,
            worker=word.worker,
            at=event.time,
            sequence=event.sequence,
        )
        files = files.set(path, replace(known, writes=(write, *known.writes)[:KEPT_WRITES]))
    head = word.tree if word.changes or not mission.state.head else mission.state.head
    mission = replace(mission, files=files, state=replace(mission.state, head=head))
    return _with_tree(mission, task, word, event)


def _with_tree(mission: Mission, task: TaskState, word: Word, event: Event) -> Mission:
    if word.tree in mission.trees:
        return mission  # whoever made it first: the same tree has the same content, whatever it was made of
    base = task.base if task.base != word.tree else ""
    sides = tuple(tree for _, tree in task.onto if tree != word.tree)
    made = Tree(word.tree, base, task.id, task.attempt, word.files, word.size_bytes, event.sequence, sides)
    trees = mission.trees.set(word.tree, made)
    if len(trees) > KEPT_TREES:
        trees = trees.delete(min(trees.values(), key=lambda tree: (tree.sequence, tree.id)).id)
    return replace(mission, trees=trees)


def claimed(mission: Mission, task: TaskState, event: Event, order: AttemptOrder) -> Mission:
    """The files that the attempt may change are its own until its verdict."""
    patterns = list(order.claims)
    for expected in order.expects if not patterns else ():
        if isinstance(expected, FilesChangedWithin):
            patterns += [expected.patterns] if isinstance(expected.patterns, str) else expected.patterns
    if not patterns:
        return mission
    claim = Claim(task.id, task.attempt, tuple(patterns), task.worker, event.time)
    return replace(mission, claims=mission.claims.set(task.id, claim))


def claim_taken(mission: Mission, task: TaskState) -> Mission:
    """A worker has begun the attempt."""
    claim = mission.claims.get(task.id)
    if claim is None:
        return mission
    return replace(mission, claims=mission.claims.set(task.id, replace(claim, worker=task.worker)))


def released(mission: Mission, task: str) -> Mission:
    """The attempt has ended, whichever way."""
    return replace(mission, claims=mission.claims.delete(task)) if task in mission.claims else mission


def claims_on(path: str, claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """The claims that a path, or a part of it, falls under."""

    def covers(pattern: str) -> bool:
        return fnmatchcase(path, pattern.partition("::")[0])

    return tuple(claim for claim in claims if any(map(covers, claim.patterns)))
