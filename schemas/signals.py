"""What travels on core NATS, unstored: heartbeats, and the reflex that stops work at once.

``heartbeats.<worker>``, ``reflex.<tenant>.<mission>`` for a stop, ``reflex.standing`` for all stops in force, and
``acknowledged.<stop>`` for the answers of workers. Losing one is harmless: heartbeats and the stops in force repeat,
and a stop is said again for as long as the attempt is seen running.
"""

from __future__ import annotations

import msgspec

from schemas.ids import token

HEARTBEATS = "heartbeats.*"
REFLEX = "reflex.>"
STOPS = "reflex.*.*"
STANDING = "reflex.standing"
ACKNOWLEDGED = "acknowledged.*"


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
        held: skills that it would take, were it or its agent not stopped; they are not among ``skills``.
    """

    worker: str
    host: str = ""
    pid: int = 0
    skills: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    leaving: bool = False
    held: tuple[str, ...] = ()


class Stop(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stop what runs. An empty field (attempt 0) means any: without tenant and mission, everything there is.

    Attributes:
        worker, agent: only what this worker, or this agent, has in hand.
        id: of a stop that stays in force until it is lifted; empty for one of this moment only.
        forgiven: an attempt that is ended by it does not count against its task.
    """

    tenant: str = ""
    mission: str = ""
    task: str = ""
    attempt: int = 0
    reason: str = ""
    worker: str = ""
    agent: str = ""
    id: str = ""
    forgiven: bool = False

    def means(self, running: Running, *, worker: str = "", agent: str = "") -> bool:
        """Whether this attempt, in the hands of this worker and agent, is to stop."""
        return (
            self.covers(running.tenant, running.mission, worker=worker, agent=agent)
            and self.task in ("", running.task)
            and self.attempt in (0, running.attempt)
        )

    def covers(self, tenant: str, mission: str, *, worker: str = "", agent: str = "") -> bool:
        """Whether it is about this mission, in the hands of this worker and agent."""
        return (
            self.tenant in ("", tenant)
            and self.mission in ("", mission)
            and self.worker in ("", worker)
            and self.agent in ("", agent)
        )


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """All stops in force at a place of the log, said once a second and whenever it changes.

    Attributes:
        sequence: of the newest event about stops that it takes into account.
        lifted: stops that were lifted lately, for those who have only heard of them.
    """

    sequence: int = 0
    stops: tuple[Stop, ...] = ()
    lifted: tuple[str, ...] = ()


class Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker has heard a stop (``ended`` false), or an attempt that it stopped has come to its end.

    Attributes:
        running: what it is stopping, or what has ended.
    """

    worker: str
    running: tuple[Running, ...] = ()
    ended: bool = False


def heartbeat_subject(worker: str) -> str:
    """Where a worker's heartbeats go."""
    return f"heartbeats.{token(worker, 'worker')}"


def reflex_subject(stop: Stop) -> str:
    """Where a stop goes; ``_`` stands for all tenants, or all missions."""
    tenant = token(stop.tenant, "tenant") if stop.tenant else "_"
    return f"reflex.{tenant}.{token(stop.mission, 'mission') if stop.mission else '_'}"


def acknowledged_subject(stop: str) -> str:
    """Where workers answer a stop."""
    return f"acknowledged.{token(stop, 'stop')}"
