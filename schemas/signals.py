"""What travels on core NATS, unstored: heartbeats, and the reflex that stops work at once.

``heartbeats.<worker>`` and ``reflex.<tenant>.<mission>``. Losing one is harmless: heartbeats repeat, and a stop is said
again for as long as the attempt is seen running.
"""

from __future__ import annotations

import msgspec

from schemas.ids import token

HEARTBEATS = "heartbeats.*"
REFLEX = "reflex.>"


class Running(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that a worker has in hand."""

    tenant: str
    mission: str
    task: str
    attempt: int


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sign of life, once a second from every worker process.

    Attributes:
        worker: who; unique for every process that ever ran.
        skills: what it takes.
        running: what it has in hand.
        leaving: it takes no more work.
    """

    worker: str
    host: str = ""
    pid: int = 0
    skills: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    leaving: bool = False


class Stop(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stop what runs: one attempt, all attempts of a task (attempt 0), or a whole mission (empty task)."""

    tenant: str
    mission: str
    task: str = ""
    attempt: int = 0
    reason: str = ""

    def means(self, running: Running) -> bool:
        """Whether this attempt is to stop."""
        return (
            running.tenant == self.tenant
            and running.mission == self.mission
            and self.task in ("", running.task)
            and self.attempt in (0, running.attempt)
        )


def heartbeat_subject(worker: str) -> str:
    """Where a worker's heartbeats go."""
    return f"heartbeats.{token(worker, 'worker')}"


def reflex_subject(stop: Stop) -> str:
    """Where a stop goes."""
    return f"reflex.{token(stop.tenant, 'tenant')}.{token(stop.mission, 'mission')}"
