"""Packs of workspaces: only what changed travels, and damage on the way is found."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from schemas.workspaces import MAX_PACKS, Change
from tests.integration.workspace_trees import blobs_of, damage, need_git, read, store_in, write
from workers.workspaces import BlobCorrupt, BlobMissing, Blobs, FileBlobs, MemoryBlobs, WorkspaceStore


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return blobs_of(request.param, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


def test_only_what_changed_is_shared_and_the_chain_stays_short(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    store = WorkspaceStore(tmp_path / "a.git", blobs)
    source = write(tmp_path / "source", {f"f{i}": os.urandom(2000) for i in range(50)})
    snapshot = first = store.snapshot(source)
    lengths = []
    for step in range(MAX_PACKS + 2):
        write(source, {"f0": f"step {step}"})
        snapshot = store.snapshot(source, base=snapshot)
        lengths.append(len(snapshot.packs))
    assert lengths == [2, 3, 4, 5, 6, 7, 8, 1, 2, 3]
    assert len(blobs.get(first.packs[0])) > 100_000
    assert len(blobs.get(snapshot.packs[-1])) < 5000
    WorkspaceStore(tmp_path / "b.git", blobs).materialise(snapshot, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)


def test_an_unchanged_folder_is_its_base(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"sub/a": "1", "b": "2"})
    base = store.snapshot(source)
    assert store.snapshot(source, base=base) is base
    part = store.snapshot(source / "sub", base=base)  # its tree is a subtree of the base: nothing is new
    assert part.packs == base.packs
    store.materialise(part, tmp_path / "target")
    assert read(tmp_path / "target") == {b"a": ("file", b"1")}


def test_a_base_from_another_machine_is_fetched(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    base = WorkspaceStore(tmp_path / "a.git", blobs).snapshot(write(tmp_path / "source", {"a": "1"}))
    other = WorkspaceStore(tmp_path / "b.git", blobs)
    after = other.snapshot(write(tmp_path / "work", {"a": "2"}), base=base)
    assert after.packs[0] == base.packs[0]
    content = hashlib.sha1(b"blob 1\x002").hexdigest()
    assert other.changed(base, after) == (Change(path="a", kind="modified", content=content),)


def test_damage_and_loss_of_blobs_are_detected(blobs: Blobs, tmp_path: Path) -> None:
    snapshot = WorkspaceStore(tmp_path / "a.git", blobs).snapshot(write(tmp_path / "source", {"a": "1"}))
    damage(blobs, tmp_path, snapshot.packs[0])
    with pytest.raises(BlobCorrupt):
        WorkspaceStore(tmp_path / "b.git", blobs).materialise(snapshot, tmp_path / "target")
    lost = snapshot.model_copy(update={"packs": ("sha256:" + "0" * 64,)})
    with pytest.raises(BlobMissing):
        WorkspaceStore(tmp_path / "c.git", blobs).materialise(lost, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_packs_that_do_not_make_up_the_tree_are_refused(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a": "1", "sub/b": "2"})
    base = store.snapshot(source)
    write(source, {"a": "3"})
    after = store.snapshot(source, base=base)
    other = WorkspaceStore(tmp_path / "b.git", FileBlobs(tmp_path / "blobs"))
    with pytest.raises(BlobCorrupt, match="do not make it up"):
        other.materialise(after.model_copy(update={"packs": after.packs[1:]}), tmp_path / "target")
    nonsense = FileBlobs(tmp_path / "blobs").put(b"not a pack")
    with pytest.raises(BlobCorrupt, match="is no pack"):
        other.materialise(after.model_copy(update={"packs": (nonsense,)}), tmp_path / "target")
    other.materialise(after, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)
