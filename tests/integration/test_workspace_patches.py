"""Changes of workspaces: listed, written as a patch, and applied to a folder wholly or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from schemas.errors import Conflict, DiskFull, InvalidInput
from schemas.workspaces import Change
from tests.integration.workspace_trees import fake_git, nasty_tree, need_git, read, store_in, write
from workers.workspaces import MemoryBlobs, WorkspaceStore


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


def test_changes_are_listed(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"gone": "1", "same": "2", "edited": "3", "mode": "4", "type": "5"})
    base = store.snapshot(source)
    (source / "gone").unlink()
    (source / "mode").chmod(0o755)
    (source / "type").unlink()
    (source / "type").symlink_to("same")
    write(source, {"edited": "33", "new/file": "6"})
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_text("7")
    after = store.snapshot(source, base=base)
    found = store.changed(base, after)
    assert found[0].content == hashlib.sha1(b"blob 2\x0033").hexdigest()  # git's id of the text "33"
    assert found[1].content == ""
    assert tuple(change.model_copy(update={"content": ""}) for change in found) == (
        Change(path="edited", kind="modified"),
        Change(path="gone", kind="deleted"),
        Change(path="mode", kind="modified", mode="executable"),
        Change(path="new/file", kind="added"),
        Change(path="type", kind="modified", mode="symlink"),
        Change(path="\\xff", kind="added"),
    )
    assert store.changed(base, base) == ()
    assert store.patch(after, after) == ""


def test_a_patch_carries_everything_there_and_back(store: WorkspaceStore, tmp_path: Path) -> None:
    nothing = write(tmp_path / "nothing", {})
    source = write(tmp_path / "source", {})
    nasty_tree(source)
    empty, full = store.snapshot(nothing), store.snapshot(source)
    target = write(tmp_path / "target", {})
    there = store.patch(empty, full)
    assert there.encode().decode() == there
    assert "+one\r\n" in there
    store.apply(there, target)
    assert read(target) == read(source)
    store.apply(store.patch(full, empty), target)
    assert read(target) == {}
    store.apply("", target)
    assert read(target) == {}


def test_a_patch_is_applied_inside_a_repository_of_the_users(store: WorkspaceStore, tmp_path: Path) -> None:
    outer = write(tmp_path / "outer", {"pkg/a.txt": "1\r\n2\r\n", "pkg/.gitattributes": "* text eol=lf\n"})
    subprocess.run(["git", "init", "-q", str(outer)], check=True)
    work = write(tmp_path / "work", {"a.txt": "1\r\n2\r\n", ".gitattributes": "* text eol=lf\n"})
    base = store.snapshot(work)
    write(work, {"a.txt": "1\r\n2\r\n3\r\n", "b.txt": "new"})
    store.apply(store.patch(base, store.snapshot(work)), outer / "pkg")
    assert (outer / "pkg" / "a.txt").read_bytes() == b"1\r\n2\r\n3\r\n"
    assert (outer / "pkg" / "b.txt").read_text() == "new"


def test_a_patch_that_does_not_fit_changes_nothing_and_names_the_files(store: WorkspaceStore, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"good": "1\n", "bad": "2\n", "lost": "3\n"})
    base = store.snapshot(source)
    write(source, {"good": "10\n", "bad": "20\n", "lost": "30\n", "new": "40\n", "link/x": "50\n"})
    patch = store.patch(base, store.snapshot(source))
    secret = write(tmp_path / "secret", {})
    users = write(tmp_path / "users", {"good": "1\n", "bad": "mine\n", "new": "mine\n"})
    (users / "link").symlink_to(secret)
    before = read(users)
    with pytest.raises(Conflict) as caught:
        store.apply(patch, users)
    assert caught.value.message.endswith(": bad, link/x, lost, new")
    assert read(users) == before
    assert list(secret.iterdir()) == []


def test_what_is_no_patch_is_refused(store: WorkspaceStore, tmp_path: Path) -> None:
    users = write(tmp_path / "deep" / "users", {"a": "1\n"})
    outside = "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"
    for wrong in ("garbage", "diff --git a/a b/a\n@@ -1 +1 @@\n", "\udcff", outside, outside.replace("..", ".git")):
        with pytest.raises(InvalidInput):
            store.apply(wrong, users)
    with pytest.raises(InvalidInput):
        store.apply(outside, tmp_path / "absent")
    assert read(tmp_path / "deep") == {b"users/a": ("file", b"1\n")}


def test_an_apply_that_runs_out_of_space_is_taken_back(tmp_path: Path) -> None:
    half = 'case "$*" in *--check*|*--numstat*) ;; apply*) rm gone; echo half > edited; echo x > new\n'
    half += 'echo "error: No space left on device" >&2; exit 128;; esac'
    store = WorkspaceStore(tmp_path / "c.git", MemoryBlobs(), git=fake_git(tmp_path / "bin", half))
    source = write(tmp_path / "source", {"gone": "1\n", "edited": "2\n"})
    (source / "edited").chmod(0o755)
    users = tmp_path / "users"
    base = store.snapshot(source)
    store.materialise(base, users)
    (source / "gone").unlink()
    write(source, {"edited": "3\n", "new": "4\n"})
    before = read(users)
    with pytest.raises(DiskFull):
        store.apply(store.patch(base, store.snapshot(source)), users)
    assert read(users) == before
