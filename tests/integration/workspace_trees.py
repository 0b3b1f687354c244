"""What the tests of workspaces share: folders to lay out and read, stores to keep them in, a git that fails."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from schemas.errors import ToolMissing
from workers.workspaces import Blobs, FileBlobs, MemoryBlobs, WorkspaceStore
from workers.workspaces.git import require

Tree = dict[bytes, tuple[str, bytes]]


def need_git() -> None:
    """Skips the test where git is missing or too old; with ``CI=true`` that is an error (``ToolMissing``)."""
    try:
        require("git")
    except ToolMissing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("git 2.38 or newer is not here")


def blobs_of(kind: str, folder: Path) -> Blobs:
    """Empty blobs: ``memory``, or else files in ``folder/blobs``."""
    return MemoryBlobs() if kind == "memory" else FileBlobs(folder / "blobs")


def store_in(folder: Path) -> WorkspaceStore:
    """A store whose cache is ``folder/state/workspaces.git`` and whose blobs are files in ``folder/blobs``."""
    return WorkspaceStore(folder / "state" / "workspaces.git", FileBlobs(folder / "blobs"))


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Puts the files, by relative path, into the folder, which is made where it is missing, and gives it back."""
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
    """The id git gives a blob of that content, by its documented formula."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


# By raw path: names and contents that git, a shell or a text tool would change, hide or trip over.
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
    """Fills an existing folder with ``NASTY``, one executable and four symlinks."""
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


def damage(blobs: Blobs, tmp_path: Path, digest: str) -> None:
    """Spoils one blob behind the back of blobs that ``blobs_of`` made for ``tmp_path``."""
    if isinstance(blobs, MemoryBlobs):
        blobs.damage(digest)
        return
    name = digest.removeprefix("sha256:")
    path = tmp_path / "blobs" / name[:2] / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def fake_git(folder: Path, body: str) -> str:
    """The path of a git that runs the shell lines ``body`` first, save when asked for its version."""
    path = (
        write(folder, {"git": f'#!/bin/sh\n[ "$1" = --version ] && exec git --version\n{body}\nexec git "$@"\n'})
        / "git"
    )
    path.chmod(0o755)
    return str(path)
