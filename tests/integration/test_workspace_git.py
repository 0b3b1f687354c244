"""The git below a store: whose configuration does not matter, and whose failures are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import DiskFull, ToolMissing
from tests.integration.workspace_trees import fake_git, need_git, read, store_in, write
from workers.workspaces import MemoryBlobs, WorkspaceStore


@pytest.fixture(autouse=True)
def _git() -> None:
    need_git()


@pytest.fixture
def store(tmp_path: Path) -> WorkspaceStore:
    return store_in(tmp_path)


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
