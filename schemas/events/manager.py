"""What task-queue managers note about themselves. Written by them only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import TookOverPayload


class ManagerTookOver(TookOverPayload):
    """Another task-queue manager leads partitions of the missions from now on: one joined, left, or fell silent."""

    TYPE: ClassVar[str] = "manager.took_over"
