"""Facts about the world after an action. Written by task-queue managers only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import AttemptPayload
from schemas.expectations import Violation


class WorldConfirmed(AttemptPayload):
    """Everything expected of the attempt was observed."""

    TYPE: ClassVar[str] = "world.confirmed"
    checks: tuple[str, ...] = ()


class WorldViolated(AttemptPayload):
    """What was observed is not what was expected. The task cannot be done by this attempt."""

    TYPE: ClassVar[str] = "world.violated"
    violations: tuple[Violation, ...]
