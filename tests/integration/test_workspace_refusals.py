"""What a store refuses: folders over a limit, targets that are not empty, and trees that are hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import InvalidInput, LimitExceeded, PayloadTooLarge
from schemas.workspaces import Snapshot
from tests.integration.workspace_trees import git_id, need_git, read, store_in, write
from workers.workspaces import FileBlobs, Limits, MemoryBlobs, WorkspaceStore
from workers.workspaces.git import GitFailed
from workers.workspaces.packs import publish


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


@pytest.mark.parametrize("limits", [Limits(files=2), Limits(depth=2), Limits(path_bytes=3), Limits(size_bytes=5)])
def test_a_workspace_over_a_limit_is_refused(tmp_path: Path, limits: Limits) -> None:
    store = WorkspaceStore(tmp_path / "c.git", MemoryBlobs(), limits=limits)
    source = write(tmp_path / "source", {"a/b/c": "12", "a/d": "34", "e": "56"})
    with pytest.raises(PayloadTooLarge if limits.size_bytes == 5 else LimitExceeded) as caught:
        store.snapshot(source)
    assert caught.value.hint


def test_a_sparse_giant_is_refused_without_being_read(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"giant": ""})
    os.truncate(source / "giant", 1 << 40)
    with pytest.raises(PayloadTooLarge):
        WorkspaceStore(tmp_path / "c.git", MemoryBlobs()).snapshot(source)


def test_a_snapshot_over_the_limit_is_not_laid_out(store: WorkspaceStore, tmp_path: Path) -> None:
    big = store.snapshot(write(tmp_path / "source", {"a": "123456"}))
    small = WorkspaceStore(tmp_path / "c.git", FileBlobs(tmp_path / "blobs"), limits=Limits(size_bytes=5))
    with pytest.raises(PayloadTooLarge):
        small.materialise(big, tmp_path / "target")


@pytest.mark.parametrize("kind", ["full", "file", "symlink"])
def test_only_an_empty_folder_is_filled(store: WorkspaceStore, tmp_path: Path, kind: str) -> None:
    snapshot = store.snapshot(write(tmp_path / "source", {"a": "1"}))
    target, elsewhere = tmp_path / "target", write(tmp_path / "elsewhere", {})
    if kind == "full":
        write(target, {"mine": "x"})
    elif kind == "file":
        target.write_text("x")
    else:
        target.symlink_to(elsewhere)
    with pytest.raises(InvalidInput):
        store.materialise(snapshot, target)
    assert list(elsewhere.iterdir()) == []


def forged(store: WorkspaceStore, entries: list[tuple[bytes, bytes, bytes]]) -> Snapshot:
    """A tree that git itself would not make: modes, names and contents as given."""
    git, raw = store._cache.git, b""
    for mode, name, content in entries:
        git.run("hash-object", "-w", "--stdin", feed=content)
        raw += mode + b" " + name + b"\0" + bytes.fromhex(git_id(content))
    tree = git.run("hash-object", "-t", "tree", "-w", "--literally", "--stdin", feed=raw).decode().strip()
    return Snapshot(tree=tree, packs=publish(git, store._blobs, tree, None), files=len(entries), size_bytes=4)


@pytest.mark.parametrize("name", [b"..", b"../x", b"a/../../x", b".git", b"a/.git/config", b"/x"])
def test_a_hostile_name_lands_nowhere(store: WorkspaceStore, tmp_path: Path, name: bytes) -> None:
    store.snapshot(write(tmp_path / "source", {"x": "1"}))
    hostile = forged(store, [(b"100644", name, b"evil")])
    with pytest.raises(GitFailed, match="invalid path"):
        WorkspaceStore(tmp_path / "b.git", store._blobs).materialise(hostile, tmp_path / "deep" / "target")
    assert read(tmp_path / "deep") == {}


def test_a_hostile_tree_cannot_write_through_its_own_symlink(store: WorkspaceStore, tmp_path: Path) -> None:
    store.snapshot(write(tmp_path / "source", {"x": "1"}))
    outside = write(tmp_path / "outside", {})
    link = os.fsencode(outside)
    for second in (b"a/x", b"a"):
        hostile = forged(store, [(b"120000", b"a", link), (b"100644", second, b"evil")])
        store.materialise(hostile, tmp_path / f"target {len(second)}")
    assert list(outside.iterdir()) == []
