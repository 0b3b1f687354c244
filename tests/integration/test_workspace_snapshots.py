"""Snapshots on a real git: what goes in comes out, on any machine, and nothing else does."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from schemas.errors import InvalidInput
from schemas.workspaces import Snapshot
from tests.integration.workspace_trees import NASTY, blobs_of, git_id, nasty_tree, need_git, read, store_in, write
from workers.workspaces import Blobs, FileBlobs, WorkspaceStore

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return blobs_of(request.param, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


def test_a_nasty_tree_comes_back_byte_for_byte(store: WorkspaceStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    nasty_tree(source)
    snapshot = store.snapshot(source)
    store.materialise(snapshot, tmp_path / "target")
    expected = read(source)
    assert read(tmp_path / "target") == expected
    assert snapshot.files == len(expected) == len(NASTY) + 5
    assert snapshot.size_bytes == sum(len(content) for _, content in expected.values())
    assert store.snapshot(tmp_path / "target").tree == snapshot.tree


@pytest.mark.parametrize("seed", range(4))
def test_random_trees_come_back_on_a_machine_that_shares_only_blobs(tmp_path: Path, seed: int, blobs: Blobs) -> None:
    dice = random.Random(seed)
    source = tmp_path / "source"
    here, there = (WorkspaceStore(tmp_path / name, blobs) for name in ("a.git", "b.git"))
    snapshot = None
    for step in range(3):
        for _ in range(20):
            parts = [dice.choice(["a", "b b", "ö", "c\n", '"', "d\\"]) + "d" for _ in range(dice.randrange(3))]
            path = source.joinpath(*parts, f"f{dice.randrange(30)}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dice.randbytes(dice.choice([0, 1, 10, 5000])))
            path.chmod(dice.choice([0o644, 0o755]))
        snapshot = here.snapshot(source, base=snapshot)
        there.materialise(Snapshot.model_validate_json(snapshot.model_dump_json()), tmp_path / f"target{step}")
        assert read(tmp_path / f"target{step}") == read(source)
    assert len(snapshot.packs if snapshot else ()) == 3


def test_ids_are_gits_own(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a": "text\r\n"})
    tree = hashlib.sha1(b"tree 29\x00100644 a\x00" + bytes.fromhex(git_id(b"text\r\n"))).hexdigest()
    assert store.snapshot(source).tree == tree
    assert store.snapshot(write(tmp_path / "none", {})).tree == EMPTY


def test_the_empty_tree_travels(store: WorkspaceStore, tmp_path: Path) -> None:
    nothing = store.snapshot(write(tmp_path / "none", {}))
    store.materialise(nothing, tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []
    grown = store.snapshot(write(tmp_path / "source", {"a": "1"}), base=nothing)
    WorkspaceStore(tmp_path / "other.git", FileBlobs(tmp_path / "blobs")).materialise(grown, tmp_path / "b")
    assert read(tmp_path / "b") == {b"a": ("file", b"1")}


def test_repositories_and_caches_inside_are_left_out(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(
        tmp_path / "source", {"kept.py": "x", "sub/kept.py": "y", "mod/kept.py": "z", "mod/.git": "gitdir: /"}
    )
    for folder in (source, source / "sub"):
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
    write(source, {"__pycache__/x.pyc": "", "sub/.pytest_cache/v": "", ".mypy_cache/x": "", "sub/.GIT/x": ""})
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(source)  # a socket's path has to be short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        (source / "empty folder").mkdir()
        store.materialise(store.snapshot(source), tmp_path / "target")
    assert sorted(read(tmp_path / "target")) == [b"kept.py", b"mod/kept.py", b"sub/kept.py"]


def test_nothing_is_read_through_a_symlink(store: WorkspaceStore, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", {"key": "do not take"})
    source = write(tmp_path / "source", {"a": "1"})
    (source / "folder").symlink_to(secret)
    (source / "file").symlink_to(secret / "key")
    store.materialise(store.snapshot(source), tmp_path / "target")
    assert set(read(tmp_path / "target")) == {b"a", b"folder", b"file"}
    assert (tmp_path / "target" / "folder").is_symlink()
    with pytest.raises(InvalidInput):
        store.snapshot(source / "folder")
