"""Distributed locks with fencing tokens.

A lock with a time to live cannot promise that its holder is alone: a process may sleep past the end of its lock and
then write. So every acquisition gets a token, larger than all before it, and whoever is written to refuses tokens
older than the newest it has seen (:meth:`Locks.admits`, or its own comparison in the same transaction as the write, as
the world's store does).

Source: Martin Kleppmann, "How to do distributed locking" (2016), section "Making the lock safe with fencing".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from projections.world import keys
from projections.world.connecting import explained
from projections.world.scripts import ACQUIRE, GUARD, RELEASE, RENEW, Connection, run
from schemas.errors import Refused
from schemas.ids import process_name, token

_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Held:
    """A lock in hand. ``token`` grows with every acquisition of the lock; hand it to whoever is written to."""

    name: str
    owner: str
    token: int

    @property
    def value(self) -> str:
        return f"{self.owner} {self.token}"


class Locks:
    """The locks of one tenant. Every method raises :class:`~projections.world.connecting.WorldUnavailable`."""

    def __init__(self, redis: Connection, tenant: str, *, owner: str | None = None) -> None:
        self._redis = redis
        self._tenant = token(tenant, "tenant")
        self.owner = owner or process_name()

    async def acquire(self, name: str, ttl_s: float, *, wait_s: float = 0.0) -> Held | None:
        """Take the lock for ``ttl_s`` seconds; None if somebody else has it for all of ``wait_s`` seconds."""
        key = keys.lock(self._tenant, token(name, "lock"))
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            with explained("take a lock"):
                got = await run(self._redis, ACQUIRE, (key, f"{key}:tokens"), (self.owner, round(ttl_s * 1000)))
            if got:
                return Held(name, self.owner, int(got))
            if asyncio.get_running_loop().time() >= deadline:
                return None
            await asyncio.sleep(_LOOK_S)  # nobody tells when a lock runs out

    async def renew(self, held: Held, ttl_s: float) -> bool:
        """Keep it for another ``ttl_s`` seconds; False if it ran out, whether somebody else has it now or not."""
        with explained("renew a lock"):
            key = keys.lock(self._tenant, held.name)
            return bool(await run(self._redis, RENEW, (key,), (held.value, round(ttl_s * 1000))))

    async def release(self, held: Held) -> bool:
        """Give it back; False if it was no longer ours."""
        with explained("release a lock"):
            return bool(await run(self._redis, RELEASE, (keys.lock(self._tenant, held.name),), (held.value,)))

    async def holder(self, name: str) -> str:
        """The owner of a lock at this moment; empty if nobody has it."""
        with explained("look at a lock"):
            value = await self._redis.get(keys.lock(self._tenant, token(name, "lock")))
        text = value.decode() if isinstance(value, bytes) else str(value or "")
        return text.rpartition(" ")[0]

    async def admits(self, place: str, token_: int) -> bool:
        """Whether a token is as new as any that ``place`` has seen; the newest is remembered there."""
        with explained("compare a token"):
            key = f"{keys.lock(self._tenant, token(place, 'place'))}:seen"
            return bool(await run(self._redis, GUARD, (key,), (token_,)))

    @asynccontextmanager
    async def holding(self, name: str, ttl_s: float, *, wait_s: float = 0.0) -> AsyncIterator[Held]:
        """Hold a lock for the block and renew it meanwhile; the token is what keeps writes safe, not the renewing.

        Raises:
            Refused: somebody else has it.
        """
        held = await self.acquire(name, ttl_s, wait_s=wait_s)
        if held is None:
            raise Refused(f"the lock {name!r} is held by another process", hint="wait for it, or use a longer wait_s")
        renewing = asyncio.create_task(self._keep(held, ttl_s))
        try:
            yield held
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self.release(held)

    async def _keep(self, held: Held, ttl_s: float) -> None:
        while await self.renew(held, ttl_s):  # noqa: ASYNC110 - by the clock; there is nothing to wait for
            await asyncio.sleep(ttl_s / 3)
