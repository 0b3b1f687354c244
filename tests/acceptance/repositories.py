"""Small repositories to work on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stigmergy import Client
from workers.workspaces import WorkspaceStore

CONFLICTING = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.12"\n',
    "shop.py": 'def price(item):\n    return f"free" if item == None else item\n',
    "test_shop.py": (
        "from shop import price\n\n\ndef test_free():\n    assert price(None) == 'free'\n\n\n"
        "def test_paid():\n    assert price(3) == 3\n"
    ),
}
"""A line with two flaws of two groups: each is mended by itself, and the two changes conflict."""


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


class _Blobs:
    """The blobs of a client, for a thread."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._blobs, self._loop = client.bus.log.blobs, loop

    def put(self, data: bytes) -> str:
        return asyncio.run_coroutine_threadsafe(self._blobs.put(data), self._loop).result(60)

    def get(self, digest: str) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._blobs.get(digest), self._loop).result(60)

    def has(self, digest: str) -> bool:
        return asyncio.run_coroutine_threadsafe(self._blobs.has(digest), self._loop).result(60)


async def snapshot_of(client: Client, folder: Path) -> dict[str, Any]:
    """A folder as a workspace that a mission can be given."""
    blobs = _Blobs(client, asyncio.get_running_loop())
    store = WorkspaceStore(client.settings.state_dir / "workspaces.git", blobs)
    snapshot = await asyncio.to_thread(store.snapshot, folder)
    return snapshot.model_dump(mode="json")
