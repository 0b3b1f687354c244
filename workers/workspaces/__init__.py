"""Content-addressed file trees: taken on one machine, laid out on another, compared, merged."""

from workers.workspaces.files import FileBlobs
from workers.workspaces.memory import MemoryBlobs
from workers.workspaces.port import BlobCorrupt, BlobMissing, Blobs, digest_of
from workers.workspaces.store import WorkspaceStore
from workers.workspaces.walk import Limits

__all__ = [
    "BlobCorrupt",
    "BlobMissing",
    "Blobs",
    "FileBlobs",
    "Limits",
    "MemoryBlobs",
    "WorkspaceStore",
    "digest_of",
]
