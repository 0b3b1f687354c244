"""What travels on core NATS, unstored: heartbeats, the reflex that stops work at once, and calls to pools.

``heartbeats.<worker>``, ``reflex.<tenant>.<mission>`` and ``pools.<tenant>``. Losing one is harmless: heartbeats
repeat, a stop is said again for as long as the attempt is seen running, and who calls a pool looks at its heartbeats.
"""

from __future__ import annotations

import msgspec

from schemas.ids import token

HEARTBEATS = "heartbeats.*"
REFLEX = "reflex.>"
POOLS = "pools.*"


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
        leaving: it has ended; this is its last sign.
        draining: it takes no more work and ends what it has in hand.
        pool: the pool it belongs to; pools are drained and scaled as a whole.
        kind: Celery's kind of pool: prefork, threads or solo.
        size: how many workers its pool wants to have.
        since: when it joined, in seconds of the Unix clock.
        done, failed: attempts that it ended well, and not well.
        rss: bytes of memory that its process holds.
        labels: what is special about it, for tasks that require it.
        versions: of the agents behind its skills, where they are not 1.
        profile: what it has in common with all who fulfil the same requirements; it also reads the queues of it.
    """

    worker: str
    host: str = ""
    pid: int = 0
    skills: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    leaving: bool = False
    draining: bool = False
    pool: str = ""
    kind: str = ""
    size: int = 0
    since: float = 0.0
    done: int = 0
    failed: int = 0
    rss: int = 0
    version: str = ""
    labels: dict[str, str] = {}
    versions: dict[str, str] = {}
    profile: str = ""

    @property
    def available(self) -> bool:
        """Whether it takes work."""
        return not self.leaving and not self.draining

    def takes(self, queue: str) -> bool:
        """Whether it reads this queue."""
        skill, _, of_profile = queue.removeprefix("stig.").partition("@")
        return skill in self.skills and of_profile in ("", self.profile)


class PoolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asks pools to drain, or to have another size. Without ``name`` and ``host`` all pools are meant.

    Attributes:
        name: of a pool, or of a worker whose pool is meant.
        size: how many workers the pool shall have from now on; 0 drains it.
        grace_s: after this time a draining pool gives up what it still has in hand: others make further attempts.
    """

    name: str = ""
    host: str = ""
    size: int = 0
    grace_s: float = 300.0

    def means(self, beat: Heartbeat) -> bool:
        """Whether this worker's pool is asked."""
        return self.name in ("", beat.worker, beat.pool) and self.host in ("", beat.host)


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


def pool_subject(tenant: str) -> str:
    """Where a tenant's pools are called."""
    return f"pools.{token(tenant, 'tenant')}"


def reflex_subject(stop: Stop) -> str:
    """Where a stop goes."""
    return f"reflex.{token(stop.tenant, 'tenant')}.{token(stop.mission, 'mission')}"
