"""Blobs as files in a folder, which may be shared by several machines."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from workers.workspaces.disk import writing
from workers.workspaces.port import digest_of, hex_of, missing, verified

_UNFINISHED = ".unfinished-"


class FileBlobs:
    """One file per blob, ``<root>/<first two digits>/<digits>``; written aside, synced, then renamed into place.

    Args:
        root: the folder; made when the first blob is put.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> str:
        """See `Blobs.put`. Returns after the bytes and their name have reached the disk."""
        digest = digest_of(data)
        path = self._path(digest)
        if _holds(path, data):
            os.utime(path)
            return digest
        with writing(f"the blob {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs.get`."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise missing(digest) from error
        return verified(data, digest)

    def has(self, digest: str) -> bool:
        """See `Blobs.has`."""
        return self._path(digest).is_file()

    def collect(self, keep: Iterable[str], older_than_s: float) -> int:
        """Delete blobs that are not in ``keep`` and were put longer ago than this; returns the bytes freed.

        Writers that died leave unfinished files; these go by the same age.
        """
        kept = {hex_of(digest) for digest in keep}
        before = time.time() - older_than_s
        freed = 0
        for path in self._all():
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # another collector was first, or a writer has renamed it
            if path.name not in kept and found.st_mtime <= before:
                path.unlink(missing_ok=True)
                freed += found.st_size
        return freed

    def _path(self, digest: str) -> Path:
        name = hex_of(digest)
        return self._root / name[:2] / name

    def _all(self) -> Iterator[Path]:
        for shard in sorted(self._root.iterdir()) if self._root.is_dir() else []:
            yield from sorted(shard.iterdir())


def _holds(path: Path, data: bytes) -> bool:
    # Reading back is cheaper than a sync, and a damaged copy is found and mended.
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
