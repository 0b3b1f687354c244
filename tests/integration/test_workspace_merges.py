"""Merges of workspaces: several changes become one, and what disagrees is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import LimitExceeded
from schemas.workspaces import Snapshot
from tests.integration.workspace_trees import need_git, read, store_in, write
from workers.workspaces import FileBlobs, Limits, MemoryBlobs, WorkspaceStore

Sides = tuple[Snapshot, list[Snapshot]]


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


@pytest.fixture
def sides(store: WorkspaceStore, tmp_path: Path) -> Sides:
    """A base and four sides; 0, 1 and 3 edit far places of one file, 2 disagrees with 0."""
    lines = [f"line {i}\n" for i in range(60)]
    base = store.snapshot(write(tmp_path / "base", {"a.py": "".join(lines), "b.py": "b\n"}))
    made = []
    for number, (line, text) in enumerate([(3, "zero"), (30, "one"), (3, "two"), (55, "three")]):
        changed = lines.copy()
        changed[line] = text + "\n"
        work = write(tmp_path / f"side{number}", {"a.py": "".join(changed), "b.py": "b\n", f"new{number}.py": text})
        made.append(store.snapshot(work, base=base))
    return base, made


def test_disjoint_edits_of_one_file_are_merged(store: WorkspaceStore, tmp_path: Path, sides: Sides) -> None:
    base, (zero, one, _, three) = sides
    merged = store.merge(base, [zero, one, three])
    assert merged.conflicts == ()
    WorkspaceStore(tmp_path / "b.git", FileBlobs(tmp_path / "blobs")).materialise(merged.snapshot, tmp_path / "out")
    lines = (tmp_path / "out" / "a.py").read_text().splitlines()
    assert (lines[3], lines[30], lines[55]) == ("zero", "one", "three")
    found = read(tmp_path / "out")
    assert sorted(found) == [b"a.py", b"b.py", b"new0.py", b"new1.py", b"new3.py"]
    assert merged.snapshot.files == 5
    assert merged.snapshot.size_bytes == sum(len(content) for _, content in found.values())
    assert store.snapshot(tmp_path / "out").tree == merged.snapshot.tree


def test_a_side_that_conflicts_is_left_out_and_reported(store: WorkspaceStore, sides: Sides) -> None:
    base, (zero, one, two, three) = sides
    merged = store.merge(base, [zero, one, two, three])
    assert [(conflict.side, conflict.paths) for conflict in merged.conflicts] == [(2, ("a.py",))]
    assert merged.snapshot.tree == store.merge(base, [zero, one, three]).snapshot.tree
    other_way = store.merge(base, [two, one, zero, three])
    assert [conflict.side for conflict in other_way.conflicts] == [2]
    assert other_way.snapshot.tree != merged.snapshot.tree


def test_merging_elsewhere_gives_the_same_tree(store: WorkspaceStore, tmp_path: Path, sides: Sides) -> None:
    base, made = sides
    here = store.merge(base, made)
    there = WorkspaceStore(tmp_path / "b.git", FileBlobs(tmp_path / "blobs")).merge(base, made)
    assert (there.snapshot.tree, there.conflicts) == (here.snapshot.tree, here.conflicts)


def test_merging_little_needs_no_merge(store: WorkspaceStore, sides: Sides) -> None:
    base, (zero, one, _, _) = sides
    assert store.merge(base, []).snapshot is base
    assert store.merge(base, [base, base]).snapshot is base
    assert store.merge(base, [base, zero, zero]).snapshot is zero
    back = store.merge(base, [zero, base, one])
    assert back.snapshot.tree == store.merge(base, [zero, one]).snapshot.tree


def test_an_edit_of_a_deleted_and_of_a_binary_file_conflict(store: WorkspaceStore, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work", {"gone": "1\n2\n", "bin": b"\0\1", "union": "1\n", ".gitattributes": "* merge=union"}
    )
    base = store.snapshot(work)
    (work / "gone").unlink()
    write(work, {"bin": b"\0\2", "union": "2\n"})
    first = store.snapshot(work, base=base)
    write(work, {"gone": "1\n3\n", "bin": b"\0\3", "union": "3\n"})
    second = store.snapshot(work, base=base)
    merged = store.merge(base, [first, second])
    assert [conflict.paths for conflict in merged.conflicts] == [("bin", "gone", "union")]
    assert merged.snapshot is first


def test_snapshots_and_merges_leave_nothing_in_the_cache_that_is_not_collected(
    store: WorkspaceStore, tmp_path: Path, sides: Sides
) -> None:
    base, made = sides
    cache = tmp_path / "state" / "workspaces.git"
    with pytest.raises(LimitExceeded):
        WorkspaceStore(cache, MemoryBlobs(), limits=Limits(files=1)).snapshot(tmp_path / "base")
    store.merge(base, made)
    store.collect([], older_than_s=0)
    left = [path for path in (cache / "objects").rglob("*") if path.is_file()]
    assert left == []
    assert [path for path in (cache / "refs").rglob("*") if path.is_file()] == []
    assert store.snapshot(tmp_path / "base").tree == base.tree
