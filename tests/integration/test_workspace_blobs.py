"""Blobs of workspaces: one contract, every adapter."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from schemas.errors import DiskFull, InvalidInput
from tests.integration.workspace_trees import blobs_of, damage
from workers.workspaces import BlobCorrupt, BlobMissing, Blobs, FileBlobs


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return blobs_of(request.param, tmp_path)


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


@pytest.mark.parametrize("name", ["sha256:../../../etc/passwd", "passwd", ""])
def test_a_blob_name_cannot_be_a_path(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.get(name)
    with pytest.raises(InvalidInput):
        blobs.has(name)


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
