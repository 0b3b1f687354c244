"""A worker's bench: the folders, stores and tools that its attempts use."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from schemas.attempts import AttemptOrder
from schemas.errors import ToolMissing
from workers.environments import EnvironmentStore
from workers.peers.asking import Asking
from workers.sandboxes import Capabilities, Sandbox, choose
from workers.sandboxes.choose import FOREIGN_CODE
from workers.workspaces import Blobs, WorkspaceStore

_LEFT_S = 24 * 3600.0
_UNUSED_S = 14 * 24 * 3600.0
_LEAST = Capabilities(tree_memory=True)
"""What no run goes without. A machine without bubblewrap still works; every report says what its sandbox lacks."""


@dataclass
class Bench:
    """What is shared by all attempts of one worker process; everything is made when it is first needed.

    Args:
        state_dir: where caches and workspaces live on this machine.
        blobs: content that all machines share.
        alone: the process makes one attempt at a time.
        sandbox_name: a backend that the operator insists on; None chooses the strongest that works here.
        asking: asks agents of other workers; None where there are none to be asked.
    """

    state_dir: Path
    blobs: Blobs
    sandbox_name: str | None = None
    alone: bool = False
    asking: Asking | None = None
    _folders: list[Path] = field(default_factory=list)

    @cached_property
    def workspaces(self) -> WorkspaceStore:
        return WorkspaceStore(self.state_dir / "workspaces.git", self.blobs)

    @cached_property
    def environments(self) -> EnvironmentStore:
        return EnvironmentStore(self.state_dir / "environments", sandbox=self.sandbox)

    @cached_property
    def sandbox(self) -> Sandbox:
        """The strongest sandbox that works here, or the one that the operator insists on."""
        if self.sandbox_name is not None:
            return choose(_LEAST, prefer=self.sandbox_name)
        try:
            return choose()
        except ToolMissing:
            return choose(_LEAST)

    @cached_property
    def lacking(self) -> str:
        """What the sandbox does not hold, in words for a report; empty if it holds everything."""
        missing = self.sandbox.capabilities.lacking(FOREIGN_CODE)
        if not missing:
            return ""
        return f"the sandbox {self.sandbox.name!r} of this machine lacks {', '.join(missing)}; bubblewrap has it all"

    def folder_for(self, order: AttemptOrder, name: str = "") -> Path:
        """A folder of its own for an attempt, not there yet; removed by :meth:`tidy`."""
        place = f"{order.mission}.{order.task}.{order.attempt}{'.' if name else ''}{name}"
        folder = self.state_dir / "attempts" / place
        if folder.exists():  # left by a worker that was killed in the same attempt
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._folders.append(folder)
        return folder

    def sweep(self) -> None:
        """Remove what killed workers left behind, and trees that nobody has used for a long time."""
        left = self.state_dir / "attempts"
        for folder in left.iterdir() if left.is_dir() else ():
            if time.time() - folder.stat().st_mtime > _LEFT_S:
                shutil.rmtree(folder, ignore_errors=True)
        if (self.state_dir / "workspaces.git").is_dir():
            self.workspaces.collect((), older_than_s=_UNUSED_S)

    def tidy(self) -> None:
        """Remove the folders of ended attempts."""
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)
