"""The state directory: which file lies where, and files that only their owner may read."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import DiskFull, Unavailable

MIN_FREE_BYTES = 64 * 2**20
"""Below this much free disk no server is started: it would stop in the middle of a write soon after."""


@dataclass(frozen=True)
class Layout:
    """The places below one state directory. Make it with :meth:`at`, which resolves links and ``..``."""

    root: Path

    @classmethod
    def at(cls, state_dir: Path) -> Layout:
        return cls(state_dir.expanduser().resolve())

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def stack_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def stack_lock(self) -> Path:
        return self.root / "stack.lock"

    @property
    def supervisor_file(self) -> Path:
        return self.root / "supervisor.json"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def ready(self) -> Path:
        return self.root / "ready"

    def home(self, name: str) -> Path:
        """The private folder of one server: its configuration and its data."""
        return self.root / name

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def secret(self, name: str) -> str:
        """The secret kept under ``name``: 256 random bits in hex, made at the first call, kept in a 0600 file."""
        file = self.root / "secrets" / name
        if not file.exists():
            private_folder(file.parent)
            write_private(file, secrets.token_hex(32))
        return file.read_text(encoding="ascii")

    def create(self) -> None:
        """Make the folders. Raises :class:`DiskFull` without room, :class:`Unavailable` when forbidden."""
        for folder in (self.root, self.logs, self.ready):
            private_folder(folder)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_private(ignore, "*\n")  # the default place is inside the user's repository: never to be committed
        require_room(self.root, MIN_FREE_BYTES)


def private_folder(folder: Path) -> None:
    """Make ``folder`` with mode 0700 (its parents as the umask says)."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise no_write(folder, error) from error


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` with mode 0600: readers see the old file or the new one, never half of one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave an empty file under the final name
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise no_write(path, error) from error


def require_room(folder: Path, need: int) -> None:
    """Raise :class:`DiskFull` unless ``need`` bytes are free where ``folder`` lies."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise DiskFull(
            f"only {free // 2**20} MiB are free for {folder}, {need // 2**20} MiB are needed",
            hint="free some space, or set STIGMERGY_STATE_DIR to a larger disk",
        )


def no_write(path: Path, error: OSError) -> DiskFull | Unavailable:
    """The error of ours for a failed write to ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left to write {path}", hint="free some space, or set STIGMERGY_STATE_DIR elsewhere")
    return Unavailable(f"cannot write {path}: {error.strerror}", hint="set STIGMERGY_STATE_DIR to a writable folder")
