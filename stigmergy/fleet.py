"""The fleet from outside: who is there, what waits, what a worker says of itself, and calls to its pools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from events.port import Window
from events.services import NatsServices
from schemas.backlog import BACKLOG, SkillBacklog
from schemas.errors import InvalidInput, TimedOut
from schemas.events import parse
from schemas.events.worker import WorkerJoined
from schemas.signals import Heartbeat, PoolCall, pool_subject
from schemas.subjects import noun_filter
from stigmergy.client import Client
from stigmergy.hearing import hear_workers

_LISTEN_S = 1.3
_SILENT_S = 3.5
_CALL_AGAIN_S = 1.0
_CLOCKS_S = 120.0
"""By so much may the clocks of a worker and of the log differ."""
_beats = msgspec.json.Decoder(Heartbeat)


class Roll:
    """Who is there, kept up to date by heartbeats. Made by :func:`roll_call`."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[Heartbeat, float]] = {}

    def hear(self, raw: bytes) -> None:
        """Take in a heartbeat."""
        beat = _beats.decode(raw)
        self._heard[beat.worker] = (beat, time.monotonic())

    def present(self) -> list[Heartbeat]:
        """Everybody who was heard of lately and has not left, by pool and name."""
        now = time.monotonic()
        there = [beat for beat, at in self._heard.values() if not beat.leaving and now - at < _SILENT_S]
        return sorted(there, key=lambda beat: (beat.pool, beat.worker))


@asynccontextmanager
async def roll_call(client: Client) -> AsyncIterator[Roll]:
    """A roll that has listened for one heartbeat of everybody, and goes on for the time of the block.

    Raises:
        Refused: NATS does not let us hear them.
    """
    roll = Roll()
    await hear_workers(client.bus.nc, roll.hear)
    await asyncio.sleep(_LISTEN_S)
    yield roll


async def backlog(client: Client) -> list[SkillBacklog]:
    """What waits and runs, by skill.

    Raises:
        Unavailable: no task-queue manager is there.
    """
    answer = NatsServices(client.bus.nc).ask(client.settings.tenant, BACKLOG, b"")
    said = b"".join([part async for part in answer])
    return msgspec.json.decode(said, type=list[SkillBacklog])


async def joining(client: Client, beat: Heartbeat) -> WorkerJoined:
    """What a worker said of itself when it joined.

    Raises:
        InvalidInput: the log has nothing of it, for instance because it belongs to another tenant.
    """
    since = datetime.fromtimestamp(beat.since, UTC) - timedelta(seconds=_CLOCKS_S)
    window = Window((noun_filter("worker", tenant=client.settings.tenant),), since=since)
    async for event in client.bus.log.read(window):
        if event.type == WorkerJoined.TYPE and event.subject == beat.worker:
            payload = parse(event)
            if isinstance(payload, WorkerJoined):
                return payload
    raise InvalidInput(
        f"the log does not tell how {beat.worker} joined tenant {client.settings.tenant!r}",
        hint="STIGMERGY_TENANT names the tenant; workers of others send heartbeats, too",
    )


def chosen(present: Sequence[Heartbeat], *, name: str = "", host: str = "") -> list[Heartbeat]:
    """Those whose pool a call with this name or host means. ``name`` may be the beginning of one that is unique.

    Raises:
        InvalidInput: there is nobody, or the beginning fits several pools.
    """
    if not name:
        found = [beat for beat in present if host in ("", beat.host)]
        if not found:
            raise InvalidInput(f"no workers are there{f' on {host}' if host else ''}", hint="stig workers list")
        return found
    exact = {beat.pool for beat in present if name in (beat.worker, beat.pool)}
    pools = exact or {beat.pool for beat in present if beat.worker.startswith(name) or beat.pool.startswith(name)}
    if len(pools) != 1:
        what = "fits several pools" if pools else "is neither a worker nor a pool"
        raise InvalidInput(f"{name!r} {what}", hint="stig workers list shows them")
    [pool] = pools
    return [beat for beat in present if beat.pool == pool]


async def call(
    client: Client,
    roll: Roll,
    wish: PoolCall,
    done: Callable[[list[Heartbeat]], bool],
    *,
    within_s: float,
    told: Callable[[list[Heartbeat]], None] = lambda _: None,
) -> None:
    """Call pools until their heartbeats show that it is done; ``told`` hears how it stands, about once a second.

    A call is not stored, so it is said again until it shows.

    Raises:
        TimedOut: it is not done yet. It goes on nevertheless.
    """
    deadline = time.monotonic() + within_s
    while True:
        # Said once in any case: who has not listened for a while sees nobody, and would take that for done.
        await client.bus.signals.send(pool_subject(client.settings.tenant), msgspec.json.encode(wish))
        await asyncio.sleep(_CALL_AGAIN_S)
        if done(present := roll.present()):
            return
        if time.monotonic() > deadline:
            raise TimedOut(
                f"the pools have not done it within {within_s:g} s",
                hint="attempts that run are ended first; stig workers list shows how it stands",
            )
        told(present)
