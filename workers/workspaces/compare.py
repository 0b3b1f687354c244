"""How two trees differ: as a list of paths, and as a patch."""

from __future__ import annotations

import re

from schemas.workspaces import Change, ChangeKind, FileMode
from workers.workspaces.cache import Cache
from workers.workspaces.git import Git, shown

_KINDS: dict[bytes, ChangeKind] = {b"A": "added", b"D": "deleted", b"M": "modified", b"T": "modified"}
_MODES: dict[bytes, FileMode] = {b"100644": "file", b"100755": "executable", b"120000": "symlink"}
_PATCH = ("diff-tree", "-r", "-p", "--no-renames", "--binary", "--full-index", "--no-ext-diff", "--no-textconv")
_SECTION = re.compile(rb"^(?=diff --git )", re.MULTILINE)


def changes(git: Git, base: str, other: str) -> tuple[Change, ...]:
    """Every path that differs, in git's order (by bytes). Renames are a deletion and an addition."""
    fields = git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", base, other).split(b"\0")
    return tuple(_change(fields[i], fields[i + 1]) for i in range(0, len(fields) - 1, 2))


def _change(facts: bytes, path: bytes) -> Change:
    before, after, _, content, status = facts.removeprefix(b":").split(b" ")
    mode, kept = (before, "") if status == b"D" else (after, content.decode())
    return Change(path=shown(path), kind=_KINDS[status[:1]], mode=_MODES.get(mode, "file"), content=kept)


def patch(cache: Cache, git: Git, base: str, other: str) -> str:
    """A patch that turns ``base`` into ``other``, in the form `git apply` takes; empty when they are equal.

    A text that is no UTF-8 is given as a binary change: a patch is a string, and its bytes would not survive in one.
    """
    plain = git.run(*_PATCH, base, other)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        pass
    with cache.scratch() as scratch:
        (scratch / "attributes").write_text("* -diff\n")
        binary = git.run("-c", f"core.attributesFile={scratch / 'attributes'}", *_PATCH, base, other)
    pairs = zip(_sections(plain), _sections(binary), strict=True)
    return "".join(_readable(text) or raw.decode() for text, raw in pairs)


def _sections(patch: bytes) -> list[bytes]:
    # No line of content begins with these words: text lines begin with a sign, binary ones hold no space.
    return _SECTION.split(patch)[1:]


def _readable(section: bytes) -> str | None:
    try:
        return section.decode()
    except UnicodeDecodeError:
        return None
