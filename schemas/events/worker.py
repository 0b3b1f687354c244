"""Facts about worker processes. They belong to no mission."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.events.base import Payload


class _WorkerPayload(Payload):
    worker: str

    def identity(self) -> tuple[str, ...]:
        return (self.worker,)

    def about(self) -> str | None:
        return self.worker


class WorkerJoined(_WorkerPayload):
    """A worker process takes work from now on."""

    TYPE: ClassVar[str] = "worker.joined"
    host: str
    pid: int
    skills: tuple[str, ...]
    agents: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="agent's name to its skills")
    concurrency: int = 1
    version: str = ""
    sandbox: str = ""


class WorkerLeft(_WorkerPayload):
    """A worker process ended in good order."""

    TYPE: ClassVar[str] = "worker.left"
    reason: str = ""
