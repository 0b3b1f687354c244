"""What every payload has in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """The data of one event type.

    Class attributes:
        TYPE: ``noun.verb``. A class without one is a shape shared by several types, not a type.
        VERSION: counts up when the shape changes; older ones are lifted by upcasters when they are read.
        LOOSE: whether most of what it says may be JSON of any shape; large ones are read twice as fast then.
        KEYED: whether the subject ends with :meth:`key`, so that the log accepts one such event per key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    KEYED: ClassVar[bool] = False
    LOOSE: ClassVar[bool] = False

    def identity(self) -> tuple[str, ...]:
        """What tells this fact from others of its type that follow from the same cause. Used to derive its id."""
        return ()

    def about(self) -> str | None:
        """What the event is about inside its mission: the CloudEvents ``subject``."""
        return None

    def key(self) -> str | None:
        """The last token of the subject if the type is keyed."""
        return None


class TaskPayload(Payload):
    """An event about one task."""

    task: str

    def identity(self) -> tuple[str, ...]:
        return (self.task,)

    def about(self) -> str | None:
        return self.task


class AttemptPayload(TaskPayload):
    """An event about one attempt at a task; attempts count from 1."""

    attempt: int

    def identity(self) -> tuple[str, ...]:
        return (self.task, str(self.attempt))


class TookOverPayload(Payload):
    """A replica leads partitions of the missions that another one led before.

    Attributes:
        member: who leads them now; ``before``: who did.
        partitions: their numbers; ``of``: how many there are in all.
        because: how it came to that.
    """

    member: str
    partitions: tuple[int, ...]
    of: int
    before: tuple[str, ...]
    because: str

    def identity(self) -> tuple[str, ...]:
        return (self.member, *map(str, self.partitions))

    def about(self) -> str | None:
        return self.member
