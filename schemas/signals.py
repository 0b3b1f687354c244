"""What travels on core NATS, unstored: heartbeats, the reflex that stops work at once, calls to pools, direct orders.

``heartbeats.<worker>``, ``reflex.<tenant>.<mission>`` for a stop, ``reflex.standing`` for all stops in force,
``acknowledged.<stop>`` for the answers of workers, ``pools.<tenant>``, and ``orders.<worker>`` for the next attempt of
a worker that stands by. Losing one is harmless: heartbeats and the stops in force repeat, a stop is said again for as
long as the attempt is seen running, who calls a pool looks at its heartbeats, and an order is sent again until its
worker has answered it on the log.
"""

from __future__ import annotations

import msgspec

from schemas.ids import token

HEARTBEATS = "heartbeats.*"
REFLEX = "reflex.>"
POOLS = "pools.*"
ORDERS = "orders.*"
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
        deprecated: skills among them that its agent would rather not do any more, and what to use instead; it reads
            only the queue of its profile for them.
        vouched: the witness of its pool says it, because its process is there and works, but cannot say it itself.
        gone: the witness says that its process has ended without a goodbye.
        held: skills that it would take, were it or its agent not stopped; they are not among ``skills``.
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
    held: tuple[str, ...] = ()
    deprecated: dict[str, str] = {}
    vouched: bool = False
    gone: bool = False

    @property
    def available(self) -> bool:
        """Whether it takes work."""
        return not self.leaving and not self.draining

    def takes(self, queue: str, *, stopped: bool = False) -> bool:
        """Whether it reads this queue; with ``stopped``, whether it would, were it or its agent not stopped."""
        skill, _, of_profile = queue.removeprefix("stig.").partition("@")
        offers = skill in self.skills or (stopped and skill in self.held)
        if of_profile:
            return offers and of_profile == self.profile
        return offers and skill not in self.deprecated


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
    """Stop what runs. An empty field (attempt 0) means any: without tenant and mission, everything there is.

    Attributes:
        worker, agent: only what this worker, or this agent, has in hand.
        id: of a stop that stays in force until it is lifted; empty for one of this moment only.
        forgiven: an attempt that is ended by it does not count against its task.
        trip: the mission is held by what it did or spent, and goes on when a person says so. Nobody answers it.
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
    trip: bool = False

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
        lifted: stops and trips that were lifted lately, for those who have only heard of them.
        trips: missions that are held, as far as whoever says it leads them; each as a stop with the id of its trip.
    """

    sequence: int = 0
    stops: tuple[Stop, ...] = ()
    lifted: tuple[str, ...] = ()
    trips: tuple[Stop, ...] = ()


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


def orders_subject(worker: str) -> str:
    """Where a worker hears of an order for itself."""
    return f"orders.{token(worker, 'worker')}"


def pool_subject(tenant: str) -> str:
    """Where a tenant's pools are called."""
    return f"pools.{token(tenant, 'tenant')}"


def reflex_subject(stop: Stop) -> str:
    """Where a stop goes; ``_`` stands for all tenants, or all missions."""
    tenant = token(stop.tenant, "tenant") if stop.tenant else "_"
    return f"reflex.{tenant}.{token(stop.mission, 'mission') if stop.mission else '_'}"


def acknowledged_subject(stop: str) -> str:
    """Where workers answer a stop."""
    return f"acknowledged.{token(stop, 'stop')}"
