"""Facts that task-queue managers find about workers, which the workers themselves can no longer report."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import Payload


class FleetLost(Payload):
    """A worker fell silent for longer than its lease."""

    TYPE: ClassVar[str] = "fleet.lost"
    KEYED: ClassVar[bool] = True
    worker: str
    silent_s: float

    def identity(self) -> tuple[str, ...]:
        return (self.worker,)

    def about(self) -> str | None:
        return self.worker

    def key(self) -> str | None:
        return self.worker
