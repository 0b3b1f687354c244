"""The cache of a store: it heals, is shared between processes, and is collected."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.workspace_trees import need_git, read, store_in, write
from workers.workspaces import BlobMissing, MemoryBlobs, WorkspaceStore


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


def test_a_cache_that_lost_objects_heals_itself(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a": "1", "sub/b": "2"})
    snapshot = store.snapshot(source)
    for pack in (tmp_path / "state" / "workspaces.git" / "objects" / "pack").iterdir():
        pack.unlink()
    store.materialise(snapshot, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)
    shutil.rmtree(tmp_path / "state")
    store.materialise(snapshot, tmp_path / "again")
    assert read(tmp_path / "again") == read(source)


_WORKER = """
import sys
from pathlib import Path
from schemas.workspaces import Snapshot
from workers.workspaces import FileBlobs, WorkspaceStore
cache, blobs, target, snapshot = sys.argv[1:]
store = WorkspaceStore(Path(cache), FileBlobs(Path(blobs)))
for turn in range(3):
    store.materialise(Snapshot.model_validate_json(snapshot), Path(target) / str(turn))
again = store.snapshot(Path(target) / "0")
print(again.tree)
"""


def test_four_processes_share_a_cache_that_does_not_exist_yet(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {f"d{i % 7}/f{i}": f"{i}\n" * i for i in range(120)})
    snapshot = store.snapshot(source)
    script = write(tmp_path, {"worker.py": _WORKER}) / "worker.py"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    fixed = [sys.executable, str(script), str(tmp_path / "new" / "b.git"), str(tmp_path / "blobs")]
    running = [
        subprocess.Popen(
            [*fixed, str(tmp_path / f"out{number}"), snapshot.model_dump_json()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            text=True,
        )
        for number in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [out.strip() for out, _ in ended] == [snapshot.tree] * 4, [err for _, err in ended]
    for number in range(4):
        for turn in range(3):
            assert read(tmp_path / f"out{number}" / str(turn)) == read(source)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.git"]


def test_collecting_never_pulls_the_floor_from_under_others(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {f"f{i}": os.urandom(100) for i in range(40)})
    snapshot = store.snapshot(source)
    script = write(tmp_path, {"worker.py": _WORKER}) / "worker.py"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    fixed = [sys.executable, str(script), str(tmp_path / "state" / "workspaces.git"), str(tmp_path / "blobs")]
    running = [
        subprocess.Popen(
            [*fixed, str(tmp_path / f"out{number}"), snapshot.model_dump_json()], env=env, stdout=subprocess.DEVNULL
        )
        for number in range(2)
    ]
    rounds = 0
    while any(process.poll() is None for process in running):
        store.collect([], older_than_s=0)
        rounds += 1
        time.sleep(0.02)
    assert rounds > 1
    assert [process.returncode for process in running] == [0, 0]
    assert read(tmp_path / "out1" / "2") == read(source)


def test_collecting_keeps_what_is_kept_and_frees_the_rest(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    store = WorkspaceStore(tmp_path / "c.git", blobs)
    kept = store.snapshot(write(tmp_path / "kept", {"a": "1", "b": os.urandom(1000)}))
    dropped = store.snapshot(write(tmp_path / "dropped", {"c": os.urandom(200_000)}), base=kept)
    (tmp_path / "c.git" / "objects" / "pack" / "tmp_pack_dead").write_bytes(b"x" * 1000)
    (tmp_path / "c.git" / "stigmergy" / "scratch" / "dead").mkdir()
    assert store.collect([], older_than_s=3600) > 0  # all are fresh: only litter goes
    freed = store.collect([kept], older_than_s=0)
    assert freed > 200_000
    assert len(list((tmp_path / "c.git" / "objects" / "pack").glob("*.pack"))) == 1
    assert list((tmp_path / "c.git" / "stigmergy" / "scratch").iterdir()) == []
    offline = WorkspaceStore(tmp_path / "c.git", MemoryBlobs())
    offline.materialise(kept, tmp_path / "out")
    assert read(tmp_path / "out") == read(tmp_path / "kept")
    with pytest.raises(BlobMissing):
        offline.materialise(dropped, tmp_path / "gone")
    store.materialise(dropped, tmp_path / "back")
    assert read(tmp_path / "back") == read(tmp_path / "dropped")
    store.collect([], older_than_s=0)
    assert list((tmp_path / "c.git" / "objects" / "pack").iterdir()) == []
