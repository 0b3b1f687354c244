"""The pure parts of workspaces: names, shapes, and what git's words mean."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from schemas.errors import Conflict, DiskFull, InvalidInput, StigmergyError
from schemas.workspaces import MAX_PACKS, Snapshot
from workers.workspaces.applying import _refusal
from workers.workspaces.compare import _sections
from workers.workspaces.git import refuse_full_disk, shown
from workers.workspaces.intake import quoted
from workers.workspaces.port import BlobCorrupt, BlobMissing, digest_of, hex_of, missing, verified

DIGEST = digest_of(b"pack")
TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_a_snapshot_survives_its_journey_as_json() -> None:
    snapshot = Snapshot(tree=TREE, packs=(DIGEST,), files=3, size_bytes=10)
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
    assert len(snapshot.model_dump_json()) < 250


@pytest.mark.parametrize(
    "wrong",
    [
        {"tree": "--output=/tmp/x"},
        {"tree": TREE.upper()},
        {"packs": ["sha256:../../etc"]},
        {"packs": []},
        {"packs": [DIGEST] * (MAX_PACKS + 1)},
        {"files": -1},
        {"more": 1},
    ],
)
def test_a_snapshot_with_a_wrong_field_is_refused(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {"tree": TREE, "packs": [DIGEST], "files": 0, "size_bytes": 0}
    with pytest.raises(ValidationError):
        Snapshot.model_validate(right | wrong)


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:" + "0" * 63, "sha256:" + "0" * 63 + "/", "md5:" + "0" * 64])
def test_what_is_no_digest_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no digest"):
        hex_of(name)


def test_damage_is_seen_and_absence_is_said() -> None:
    assert verified(b"pack", DIGEST) == b"pack"
    with pytest.raises(BlobCorrupt, match="damaged"):
        verified(b"pacK", DIGEST)
    error = missing(DIGEST)
    assert str(error) == f"there is no blob {DIGEST}"


def test_errors_cross_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(missing(DIGEST)))
    assert isinstance(error, BlobMissing)
    assert (error.message, error.hint) == (missing(DIGEST).message, missing(DIGEST).hint)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"a b", b'"a b"'),
        (b'say "x"', b'"say \\"x\\""'),
        (b"two\nlines", b'"two\\nlines"'),
        (b"back\\slash", b'"back\\\\slash"'),
        (b"\xff", b'"\xff"'),
    ],
)
def test_paths_are_quoted_for_fast_import(path: bytes, expected: bytes) -> None:
    assert quoted(path) == expected


def test_bytes_that_are_no_text_can_be_shown() -> None:
    assert shown("ä/ü".encode()) == "ä/ü"
    assert shown(b"\xff.txt") == "\\xff.txt"


def test_a_patch_is_cut_at_its_files_only() -> None:
    first = b"diff --git a/x b/x\n@@ -1 +1 @@\n-diff --git a/y b/y\n+new\n"
    second = b"diff --git a/z b/z\ndeleted file mode 100644\n"
    assert _sections(first + second) == [first, second]


@pytest.mark.parametrize(
    ("said", "kind", "named"),
    [
        ("error: patch failed: a.py:3\nerror: a.py: patch does not apply\n", Conflict, ": a.py"),
        (
            "error: b: already exists in working directory\nerror: c d: No such file or directory\n",
            Conflict,
            ": b, c d",
        ),
        ("error: two\nlines: already exists in working directory\n", Conflict, ": two\nlines"),
        ("error: affected file 'l/x' is beyond a symbolic link\n", Conflict, ": l/x"),
        ("error: invalid path '../x'\n", InvalidInput, "../x"),
        ("error: corrupt patch at line 7\n", InvalidInput, "line 7"),
        ('error: No valid patches in input (allow with "--allow-empty")\n', InvalidInput, "No valid patches"),
    ],
)
def test_what_git_says_of_a_patch_is_understood(said: str, kind: type[StigmergyError], named: str) -> None:
    refusal = _refusal(said)
    assert type(refusal) is kind
    assert named in refusal.message
    assert refusal.hint


def test_a_full_disk_is_told_apart() -> None:
    refuse_full_disk("fatal: not a tree object")
    with pytest.raises(DiskFull) as caught:
        refuse_full_disk("error: file write error: No space left on device")
    assert caught.value.hint
