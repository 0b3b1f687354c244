"""The local cache: a bare git repository that any number of processes share, and that may be deleted at any time.

What is whole in it is remembered in two folders of empty files: ``trees`` (every object of this tree is here; the time
of the file is its last use) and ``packs`` (this blob has been taken in). Both are written after the objects.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schemas.errors import TimedOut
from schemas.workspaces import Snapshot
from workers.workspaces.disk import writing
from workers.workspaces.git import Git, require
from workers.workspaces.port import hex_of

LOCK_PATIENCE_S = 120.0
_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = true
\tfilemode = true
\tsymlinks = true
\tautocrlf = false
\tignorecase = false
\tprecomposeunicode = false
\tprotectHFS = false
\tprotectNTFS = false
\tlogAllRefUpdates = false
\tfsync = committed,loose-object
[gc]
\tauto = 0
[fastimport]
\tunpackLimit = 0
[merge]
\tdirectoryRenames = false
"""
# This file outranks every .gitattributes inside a tree: bytes in, bytes out. `diff` is left out on purpose: the
# comparer sets it for single runs from a file of lower rank.
_ATTRIBUTES = "* -text !eol !crlf !ident !filter !working-tree-encoding !merge !whitespace\n"


class Cache:
    """The repository and what we keep beside it.

    Args:
        folder: made when first used.
        program: the git program.
    """

    def __init__(self, folder: Path, program: str = "git") -> None:
        self.folder = folder.absolute()
        self.git = Git(self.folder, program)
        self._trees = self.folder / "stigmergy" / "trees"
        self._packs = self.folder / "stigmergy" / "packs"
        self._scratch = self.folder / "stigmergy" / "scratch"

    @contextmanager
    def shared(self) -> Iterator[Git]:
        """Work in the cache beside others; nothing is collected meanwhile. Raises ToolMissing, TimedOut, DiskFull."""
        self._open()
        with ExitStack() as held:
            with self._lock("gate", fcntl.LOCK_SH):
                held.enter_context(self._lock("work", fcntl.LOCK_SH))
            yield self.git

    @contextmanager
    def importing(self) -> Iterator[None]:
        """One import at a time, inside :meth:`shared`: two git fast-imports that end with the same pack can crash."""
        with self._lock("import", fcntl.LOCK_EX):
            yield

    @contextmanager
    def alone(self) -> Iterator[Git]:
        """Work in the cache with nobody else in it. Newcomers wait at the gate, so that they cannot starve us."""
        self._open()
        with self._lock("gate", fcntl.LOCK_EX), self._lock("work", fcntl.LOCK_EX):
            yield self.git

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for the time of the body. What a killed process leaves here is collected."""
        with writing("a workspace"), tempfile.TemporaryDirectory(dir=self._scratch) as name:
            yield Path(name)

    def has_tree(self, tree: str) -> bool:
        """Whether the tree is whole here; marks it as used now."""
        return _touched(self._trees / tree)

    def has_pack(self, name: str) -> bool:
        """Whether the blob with these hexadecimal digits has been taken in."""
        return (self._packs / name).exists()

    def remember_tree(self, tree: str) -> None:
        """Note that every object of the tree is here."""
        (self._trees / tree).touch()

    def remember_pack(self, name: str) -> None:
        """Note that every object of the pack is here."""
        (self._packs / name).touch()

    def trees(self) -> dict[str, float]:
        """All trees that are whole here, with the POSIX time of their last use."""
        return {entry.name: entry.stat().st_mtime for entry in os.scandir(self._trees)}

    def forget(self, trees: set[str]) -> None:
        """Forget these trees, and all packs: a pack may hold objects that only a forgotten tree had."""
        for tree in trees:
            (self._trees / tree).unlink(missing_ok=True)
        for folder in (self._packs, self._scratch):
            shutil.rmtree(folder)
            folder.mkdir()

    def doubt(self, snapshot: Snapshot) -> None:
        """Forget that this snapshot is here, so that its packs are taken in again."""
        (self._trees / snapshot.tree).unlink(missing_ok=True)
        for digest in snapshot.packs:
            (self._packs / hex_of(digest)).unlink(missing_ok=True)

    def _open(self) -> None:
        if self._scratch.is_dir():
            return
        require(self.git.program)
        with writing("the workspace cache"):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._create()

    def _create(self) -> None:
        """Build the repository aside and rename it into place; whoever comes second finds it made."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".workspaces-") as aside:
            made = Path(aside) / "made"
            made.mkdir()
            Git(made, self.git.program).run("init", "--bare", "--quiet", "--template=", str(made))
            (made / "config").write_text(_CONFIG)
            (made / "info").mkdir(exist_ok=True)
            (made / "info" / "attributes").write_text(_ATTRIBUTES)
            for part in (self._trees, self._packs, self._scratch):
                (made / part.relative_to(self.folder)).mkdir(parents=True)
            try:
                made.rename(self.folder)
            except OSError:
                if not self._scratch.is_dir():
                    raise

    @contextmanager
    def _lock(self, name: str, how: int) -> Iterator[None]:
        handle = os.open(self.folder / "stigmergy" / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _acquire(handle, how, name)
            yield
        finally:
            os.close(handle)  # the kernel frees the lock, also of a process that was killed


def _acquire(handle: int, how: int, name: str) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TimedOut(f"the workspace cache is busy ({name})", hint="try again later") from error
            time.sleep(0.01)
        else:
            return


def _touched(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
