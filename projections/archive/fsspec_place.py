"""An archive on a file system of fsspec: ``fsspec+s3://``, ``fsspec+sftp://`` and so on.

Not by way of pyarrow's adapter for them: there a store that does not answer looks like one that is empty.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, cast

from projections.archive.errors import ArchiveUnavailable, explained
from projections.archive.places import PART, Found
from schemas.errors import InvalidInput, StigmergyError, ToolMissing

PREFIX = "fsspec+"
_OBJECT_STORES = {"s3", "gs", "gcs", "abfs", "az", "memory"}
"""They write files whole, and have no folders to be made."""


def open_fsspec(url: str, name: str) -> FsspecPlace:
    """The place of ``fsspec+PROTOCOL://…``; its options come from fsspec's configuration (``FSSPEC_S3_KEY`` …).

    Args:
        name: of the place, without credentials.

    Raises:
        ToolMissing: fsspec, or what it needs for this protocol, is not installed.
        InvalidInput: fsspec does not know the protocol, or not such a URL.
    """
    try:
        from fsspec.core import url_to_fs

        # Neither listings nor connections of others: what another process has written must be seen.
        filesystem, path = url_to_fs(url.removeprefix(PREFIX), use_listings_cache=False)
    except ImportError as error:
        raise ToolMissing(f"{name} cannot be opened: {error}", hint="pip install what it asks for") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{name} is no place for an archive: {error}", hint="see the protocols of fsspec") from error
    return FsspecPlace(filesystem, path, name)


class FsspecPlace:
    """A place on a file system of fsspec.

    :meth:`create` asks it for exclusive creation, which on S3 is a conditional PUT. For those that pass over the wish
    it looks before and reads back, as on the file systems of pyarrow.
    """

    def __init__(self, filesystem: Any, path: str, name: str) -> None:
        self._fs, self._root, self._name = filesystem, path.rstrip("/"), name
        protocol = filesystem.protocol
        self._is_store = not _OBJECT_STORES.isdisjoint([protocol] if isinstance(protocol, str) else protocol)

    @property
    def name(self) -> str:
        return self._name

    def write(self, path: str, data: bytes) -> None:
        target = self._path(path)
        with _answering(f"write {path}"):
            if self._is_store:
                self._fs.pipe_file(target, data)
                return
            folder, _, last = target.rpartition("/")
            part = f"{folder}/.{last}.{secrets.token_hex(4)}{PART}"
            self._fs.makedirs(folder, exist_ok=True)
            self._fs.pipe_file(part, data)
            self._fs.mv(part, target)

    def create(self, path: str, data: bytes) -> bool:
        target = self._path(path)
        with _answering(f"write {path}"):
            if not self._is_store:
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            try:
                self._fs.info(target)
            except FileNotFoundError:
                pass
            else:
                return False
            try:
                self._fs.pipe_file(target, data, mode="create")
            except FileExistsError:
                return False
        return self.read(path) == data

    def read(self, path: str) -> bytes:
        with _answering(f"read {path}"):
            return bytes(self._fs.cat_file(self._path(path)))

    def open(self, path: str) -> BinaryIO:
        with _answering(f"read {path}"):
            return cast(BinaryIO, self._fs.open(self._path(path), "rb"))

    def list(self, folder: str) -> list[Found]:
        with _answering(f"list {folder or 'its folder'}"):
            try:
                found = self._fs.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return []
        return [
            Found(posixpath.relpath(path, self._root), int(about["size"] or 0), _changed(about))
            for path, about in found.items()
        ]

    def remove(self, path: str) -> None:
        with _answering(f"remove {path}"):
            try:
                self._fs.rm_file(self._path(path))
            except FileNotFoundError:
                return

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")


def _changed(about: dict[str, Any]) -> float:
    """Seconds of the POSIX epoch; each file system calls it otherwise."""
    for key in ("LastModified", "last_modified", "updated", "mtime", "modified", "created"):
        if (said := about.get(key)) is not None:
            return said.timestamp() if isinstance(said, datetime) else _seconds(said)
    return 0.0


def _seconds(said: object) -> float:
    if isinstance(said, int | float):
        return float(said)
    return datetime.fromisoformat(str(said)).timestamp()


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """As :func:`explained`; clients of stores have errors of their own besides."""
    try:
        with explained(what):
            yield
    except (FileNotFoundError, StigmergyError):
        raise
    except Exception as error:
        raise ArchiveUnavailable(
            f"the archive cannot {what}: {error or type(error).__name__}", hint="check STIGMERGY_ARCHIVE_URL"
        ) from error
