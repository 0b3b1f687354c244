"""Facts about worker processes. They belong to no mission."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.cards import SkillCard, TopicCard
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
    pool: str = Field(default="", description="pools are drained and scaled as a whole")
    kind: str = Field(default="", description="prefork, threads or solo")
    labels: dict[str, str] = Field(default_factory=dict)
    cards: tuple[SkillCard, ...] = ()
    answers: tuple[TopicCard, ...] = Field(default=(), description="what agents of other workers may ask of it")
    memory_mb: int = Field(default=0, description="most memory of the process in MiB; 0 for no limit")


class WorkerLearned(_WorkerPayload):
    """An agent has learned a skill: from now on the workers of its pool offer it.

    With ``keep`` so do the pools that start later and take tasks for the agent, wherever they run.
    """

    TYPE: ClassVar[str] = "worker.learned"
    card: SkillCard
    pool: str = ""
    keep: bool = False
    mission: str = Field(default="", description="where it was learned")
    task: str = ""
    attempt: int = 0

    def identity(self) -> tuple[str, ...]:
        return (self.worker, self.card.agent, self.card.id)


class WorkerLeft(_WorkerPayload):
    """A worker process ended in good order."""

    TYPE: ClassVar[str] = "worker.left"
    reason: str = ""
