"""What every read model of ours is to its host: it has a name and a position, it follows, it can be made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]
"""Called now and then with the position reached and the one to be reached."""


class Projection(Protocol):
    """A read model folded from the log, and the only writer of its store."""

    name: str
    """As in ``stig serve NAME`` and ``stig projections rebuild NAME``."""

    async def position(self) -> int:
        """The sequence up to which the log is in the store; 0 if nothing is."""

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Follow the log for ever. Safe to kill at any moment; what is away for a while is waited for."""

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        """Fold the log anew beside what is in use, up to ``to`` or its end, then switch in one step.

        What is in use goes on being read and followed until the switch. After a rebuild with ``to`` the model stays at
        that position until it is rebuilt without. Returns the position reached.

        Raises:
            Refused: it cannot be made again from what there is; nothing was changed.
        """


@runtime_checkable
class StandsBy(Protocol):
    """A read model of which several processes may be there, one that writes and others that wait for its place."""

    def hosted_by(self, host: str) -> None:
        """The name under which this process writes."""

    async def leader(self) -> str:
        """The process that writes now; empty if none does. Raises what the store raises."""
