"""The archive as a read model among others: it follows, it is looked after every night, it can be made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from events.port import Log
from projections.archive.following import ArchiveRole
from projections.archive.places import Place
from projections.archive.repairing import rebuild_all
from projections.port import Progress
from schemas.errors import Refused


class Beside(Protocol):
    """Something that runs for ever; ``trouble`` says what it waits for, or what failed."""

    trouble: str

    async def run(self) -> None: ...


class ArchiveProjection:
    """What ``stig serve archive`` hosts: a :class:`~projections.port.Projection`.

    Args:
        beside: what runs beside the writer: the nightly merge, copying blobs, what drops and collects.
    """

    name = "archive"

    def __init__(
        self,
        log: Log,
        place: Place,
        role: ArchiveRole,
        beside: Sequence[Beside] = (),
    ) -> None:
        self._log, self._place, self._role = log, place, role
        self._beside = beside

    @property
    def trouble(self) -> str:
        """What the writer waits for, or what failed beside it; empty if all works."""
        return next((one.trouble for one in (self._role, *self._beside) if one.trouble), "")

    async def position(self) -> int:
        return self._role.end

    async def run(self, ready: asyncio.Event | None = None) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._role.run(ready))
            for one in self._beside:
                group.create_task(one.run())

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        """Every file anew from the log, range by range; each is replaced in one step, see decision 14."""
        if to is not None:
            raise Refused("the archive keeps everything: it cannot stop at an event", hint="leave --to out")
        return await rebuild_all(self._place, self._log, progress)
