"""An archive on any file system that pyarrow speaks, such as ``s3://`` and ``gs://``, or fsspec: ``fsspec+sftp://``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from pyarrow import ArrowInvalid
from pyarrow import fs as arrow_fs

from projections.archive.errors import explained
from projections.archive.fsspec_place import PREFIX, open_fsspec
from projections.archive.places import FolderPlace, Found, Place
from schemas.errors import InvalidInput

_WITHOUT_FOLDERS = {"s3", "gcs", "abfs"}
"""Object stores: making the folders of every file would be several requests for nothing."""


def open_place(url: str) -> Place:
    """The place of a path, a ``file://`` URL, or any URI that pyarrow knows.

    Raises:
        InvalidInput: pyarrow, or fsspec, does not know the URI.
        ToolMissing: fsspec, or what it needs for this URI, is not installed.
        ArchiveUnavailable: it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return FolderPlace(Path(unquote(parts.path) if parts.scheme else url))
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if url.startswith(PREFIX):
        return open_fsspec(url, shown)
    with explained(f"be opened at {shown}"):
        try:
            filesystem, path = arrow_fs.FileSystem.from_uri(url)
        except ArrowInvalid as error:
            raise InvalidInput(
                f"{shown} is no place for an archive", hint="give a folder, or a URI such as s3://bucket/folder"
            ) from error
    return ArrowPlace(arrow_fs.SubTreeFileSystem(path, filesystem), shown)


class ArrowPlace:
    """A place on a file system of pyarrow.

    :meth:`create` looks first and reads back afterwards, for pyarrow has no exclusive creation. Two who create in one
    moment are told apart by the read: the last one stays. That costs no event, see decision 10.
    """

    def __init__(self, filesystem: Any, name: str) -> None:
        self._fs = filesystem
        self._name = name
        self._has_folders = getattr(filesystem, "base_fs", filesystem).type_name not in _WITHOUT_FOLDERS

    @property
    def name(self) -> str:
        return self._name

    def write(self, path: str, data: bytes) -> None:
        with explained(f"write {path}"):
            if self._has_folders:
                self._fs.create_dir(path.rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(path) as stream:
                stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        with explained(f"write {path}"):
            if self._fs.get_file_info(path).type != arrow_fs.FileType.NotFound:
                return False
        self.write(path, data)
        return self.read(path) == data

    def read(self, path: str) -> bytes:
        with explained(f"read {path}"), self._fs.open_input_stream(path) as stream:
            return bytes(stream.read())

    def open(self, path: str) -> BinaryIO:
        with explained(f"read {path}"):
            return cast(BinaryIO, self._fs.open_input_file(path))

    def list(self, folder: str) -> list[Found]:
        with explained(f"list {folder or 'its folder'}"):
            chosen = arrow_fs.FileSelector(folder, recursive=True, allow_not_found=True)
            rows = self._fs.get_file_info(chosen)
        return [
            Found(row.path, row.size, row.mtime.timestamp() if row.mtime else 0.0)
            for row in rows
            if row.type == arrow_fs.FileType.File
        ]

    def remove(self, path: str) -> None:
        with explained(f"remove {path}"):
            try:
                self._fs.delete_file(path)
            except FileNotFoundError:
                return
