"""A worker's bench: the folders, stores and tools that its attempts use."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from schemas.attempts import AttemptOrder
from workers.environments import EnvironmentStore
from workers.sandboxes import Sandbox, choose
from workers.workspaces import Blobs, WorkspaceStore


@dataclass
class Bench:
    """What is shared by all attempts of one worker process; everything is made when it is first needed.

    Args:
        state_dir: where caches and workspaces live on this machine.
        blobs: content that all machines share.
        sandbox_name: a backend that the operator insists on; None chooses the strongest that works here.
    """

    state_dir: Path
    blobs: Blobs
    sandbox_name: str | None = None
    _folders: list[Path] = field(default_factory=list)

    @cached_property
    def workspaces(self) -> WorkspaceStore:
        return WorkspaceStore(self.state_dir / "workspaces.git", self.blobs)

    @cached_property
    def environments(self) -> EnvironmentStore:
        return EnvironmentStore(self.state_dir / "environments")

    @cached_property
    def sandbox(self) -> Sandbox:
        return choose(prefer=self.sandbox_name)

    def folder_for(self, order: AttemptOrder) -> Path:
        """A folder of its own for an attempt; removed by :meth:`tidy`."""
        name = f"{order.mission}.{order.task}.{order.attempt}"
        folder = self.state_dir / "attempts" / name
        if folder.exists():  # left by a worker that was killed in the same attempt
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._folders.append(folder)
        return folder

    def tidy(self) -> None:
        """Remove the folders of ended attempts."""
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)
