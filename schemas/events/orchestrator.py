"""What orchestrators note about themselves. Written by them only."""

from __future__ import annotations

from typing import ClassVar

from schemas.events.base import TookOverPayload


class OrchestratorTookOver(TookOverPayload):
    """Another orchestrator leads partitions of the missions from now on: one joined, left, or fell silent."""

    TYPE: ClassVar[str] = "orchestrator.took_over"
