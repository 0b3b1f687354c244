"""Workspaces on a real git: what goes in comes out, on any machine, and several changes become one."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.errors import Conflict, DiskFull, InvalidInput, LimitExceeded, PayloadTooLarge, ToolMissing
from schemas.workspaces import MAX_PACKS, Change, Snapshot
from workers.workspaces import BlobCorrupt, BlobMissing, Blobs, FileBlobs, Limits, MemoryBlobs, WorkspaceStore
from workers.workspaces.git import GitFailed, require
from workers.workspaces.packs import publish

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
Sides = tuple[Snapshot, list[Snapshot]]
Tree = dict[bytes, tuple[str, bytes]]


@pytest.fixture(autouse=True)
def _git() -> None:
    try:
        require("git")
    except ToolMissing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("git 2.38 or newer is not here")


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else FileBlobs(tmp_path / "blobs")


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return WorkspaceStore(tmp_path / "state" / "workspaces.git", FileBlobs(tmp_path / "blobs"))


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read(folder: Path) -> Tree:
    """Every file and symlink: its kind and its bytes, by a walk that shares nothing with the one under test."""
    root = os.fsencode(folder)
    found: Tree = {}
    for here, folders, files in os.walk(root):
        for name in [*files, *(f for f in folders if os.path.islink(os.path.join(here, f)))]:
            path = os.path.join(here, name)
            if os.path.islink(path):
                found[os.path.relpath(path, root)] = ("symlink", os.readlink(path))
            else:
                kind = "executable" if os.stat(path).st_mode & 0o100 else "file"
                found[os.path.relpath(path, root)] = (kind, Path(os.fsdecode(path)).read_bytes())
    return found


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


NASTY: dict[bytes, bytes] = {
    b".gitattributes": b"* text eol=crlf ident filter=lfs working-tree-encoding=UTF-16 merge=union -diff\n",
    b".gitignore": b"*\n",
    b".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=evil\n',
    b"crlf.txt": b"one\r\ntwo\nthree\r",
    b"ident.txt": b"$Id$\r\n",
    b"latin.txt": "né\n".encode("latin-1"),
    b"binary": bytes(range(256)) * 3,
    b"empty": b"",
    b"with space/and\ttab": b"1",
    b'quote"back\\slash\nline': b"2",
    "ünï/日本語.txt".encode(): b"3",
    b"\xff\xfe.raw": b"4",
    b"-rf": b"5",
    b":(glob)*": b"6",
    b"git~1": b"7",
    b"\xe2\x80\x8c.git": b"8",
    b" lead and trail ": b"9",
    b"deep/" * 40 + b"leaf": b"10",
    b"ignored/build/x.o": b"11",
}


def nasty_tree(folder: Path) -> Path:
    root = os.fsencode(folder)
    for name, content in NASTY.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    for link, target in {"link": "crlf.txt", "dangling": "no/where", "out": "/etc", "up": "../.."}.items():
        (folder / link).symlink_to(target)
    return folder


# -- blobs: one contract, every adapter -----------------------------------------------------------------------------


def test_blobs_give_back_what_was_put(blobs: Blobs) -> None:
    for data in (b"", b"x", os.urandom(100_000)):
        digest = blobs.put(data)
        assert digest == blobs.put(data) == "sha256:" + hashlib.sha256(data).hexdigest()
        assert blobs.has(digest)
        assert blobs.get(digest) == data
    assert isinstance(blobs, Blobs)


def test_a_blob_nobody_put_is_missing(blobs: Blobs) -> None:
    nobody = "sha256:" + "0" * 64
    assert not blobs.has(nobody)
    with pytest.raises(BlobMissing):
        blobs.get(nobody)
    with pytest.raises(KeyError):
        blobs.get(nobody)


@pytest.mark.parametrize("name", ["sha256:../../../etc/passwd", "passwd", ""])
def test_a_blob_name_cannot_be_a_path(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.get(name)
    with pytest.raises(InvalidInput):
        blobs.has(name)


def damage(blobs: Blobs, tmp_path: Path, digest: str) -> None:
    if isinstance(blobs, MemoryBlobs):
        blobs.damage(digest)
        return
    name = digest.removeprefix("sha256:")
    path = tmp_path / "blobs" / name[:2] / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_damaged_blob_is_found_and_mended_by_the_next_put(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"precious")
    damage(blobs, tmp_path, digest)
    with pytest.raises(BlobCorrupt):
        blobs.get(digest)
    assert blobs.put(b"precious") == digest
    assert blobs.get(digest) == b"precious"


def test_file_blobs_leave_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    blobs = FileBlobs(tmp_path / "blobs")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull) as caught:
        blobs.put(b"data")
    assert caught.value.hint
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_file_blobs_are_collected_by_age_unless_kept(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    kept, old, fresh = blobs.put(b"kept"), blobs.put(b"old"), blobs.put(b"fresh")
    for digest in (kept, old):
        name = digest.removeprefix("sha256:")
        os.utime(tmp_path / "blobs" / name[:2] / name, (1, 1))
    assert blobs.collect([kept], older_than_s=3600) == len(b"old")
    assert [blobs.has(digest) for digest in (kept, old, fresh)] == [True, False, True]


# -- snapshot and materialise ---------------------------------------------------------------------------------------


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


def test_the_users_git_configuration_does_not_matter(
    store: WorkspaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source", {"a.txt": "1\r\n2\n", "b.log": "x"})
    plain = store.snapshot(source)
    home = write(tmp_path / "home", {".gitconfig": "[core]\n\tautocrlf = true\n\tfileMode = false\n[broken\n"})
    write(home, {".config/git/attributes": "* text eol=crlf\n", ".config/git/ignore": "*.log\n"})
    for key, value in {"HOME": str(home), "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "LANG": "de_DE"}.items():
        monkeypatch.setenv(key, value)
    assert store.snapshot(source).tree == plain.tree
    store.materialise(plain, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)


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


# -- packs ----------------------------------------------------------------------------------------------------------


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
    assert other.changed(base, after) == (Change(path="a", kind="modified"),)


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


# -- compare and apply ----------------------------------------------------------------------------------------------


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
    assert store.changed(base, after) == (
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


def fake_git(folder: Path, body: str) -> str:
    path = (
        write(folder, {"git": f'#!/bin/sh\n[ "$1" = --version ] && exec git --version\n{body}\nexec git "$@"\n'})
        / "git"
    )
    path.chmod(0o755)
    return str(path)


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


# -- merge ----------------------------------------------------------------------------------------------------------


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


# -- bounds and tools -----------------------------------------------------------------------------------------------


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


def test_a_missing_or_old_git_says_what_to_do(tmp_path: Path) -> None:
    old = write(tmp_path / "bin", {"git": "#!/bin/sh\necho git version 2.30.2\n"}) / "git"
    old.chmod(0o755)
    for program, words in ((str(tmp_path / "absent"), "cannot be started"), (str(old), "too old")):
        with pytest.raises(ToolMissing, match=words) as caught:
            WorkspaceStore(tmp_path / "c.git", MemoryBlobs(), git=program).snapshot(write(tmp_path / "source", {}))
        assert "2.38" in caught.value.hint
    assert not (tmp_path / "c.git").exists()


@pytest.mark.parametrize("step", ["fast-import", "pack-objects", "read-tree"])
def test_a_full_disk_under_git_is_named(tmp_path: Path, step: str) -> None:
    body = f'[ "$1" = {step} ] && {{ echo "fatal: write error: No space left on device" >&2; exit 128; }}'
    store = WorkspaceStore(tmp_path / "c.git", MemoryBlobs(), git=fake_git(tmp_path / "bin", body))
    source = write(tmp_path / "source", {"a": os.urandom(300_000)})
    with pytest.raises(DiskFull) as caught:
        store.materialise(store.snapshot(source), tmp_path / "target")
    assert caught.value.hint
    assert not (tmp_path / "target").exists() or list((tmp_path / "target").iterdir()) == []
