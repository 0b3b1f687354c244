"""Facts about emergency stops. Written by orchestrators only."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.events.base import Payload


class ReflexStopped(Payload):
    """Work in this scope stopped and may not go on until the stop is lifted; an empty field means any.

    It is recorded in the tenant of whoever asked, also where it holds for all tenants.
    """

    TYPE: ClassVar[str] = "reflex.stopped"
    stop: str = Field(description="its id")
    tenant: str = ""
    mission: str = ""
    worker: str = ""
    agent: str = ""
    reason: str = ""
    by: str = ""

    def about(self) -> str | None:
        return self.stop

    def identity(self) -> tuple[str, ...]:
        return (self.stop,)


class ReflexResumed(Payload):
    """The named stops are lifted: what they held goes on."""

    TYPE: ClassVar[str] = "reflex.resumed"
    lifts: tuple[str, ...]
    reason: str = ""
    by: str = ""

    def identity(self) -> tuple[str, ...]:
        return self.lifts
