"""The scaler as a role: looks at the backlog while it holds the seat, and keeps pools of this machine between bounds.

On Kubernetes KEDA does the same from the same numbers (``infra/kubernetes``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from events.leadership.group import Taken
from events.leadership.jetstream import JetStreamKeys
from events.leadership.seat import Seat
from events.port import Guard, Write
from events.services import NatsServices
from schemas.backlog import BACKLOG, SkillBacklog
from schemas.envelope import Event
from schemas.errors import Conflict, StigmergyError
from schemas.events.enveloping import envelop
from schemas.events.pool import PoolScaled
from schemas.ids import uuid7
from schemas.subjects import of_event
from stigmergy.scaling.policy import Decision, Rules, Scaler
from stigmergy.scaling.pools import LocalPools
from stigmergy.settings import Settings

if TYPE_CHECKING:
    from stigmergy.wiring import Bus

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
SEAT = "scaler"


class ScalerRole:
    """Any number may run; one works.

    Args:
        rules: bounds and pace.
        pools: where workers come from.
        name: who this is, a token unique among the running scalers.
    """

    def __init__(self, bus: Bus, settings: Settings, rules: Rules, pools: LocalPools, *, name: str) -> None:
        self._bus = bus
        self._tenant = settings.tenant
        self._rules = rules
        self._pools = pools
        self._name = name
        self._services = NatsServices(bus.nc)
        self._seat = Seat(JetStreamKeys(bus.nc, replicas=settings.nats_replicas), SEAT, name)
        self._last = 0

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Stand for the seat until cancelled. ``ready`` is set at once: a scaler in waiting is ready."""
        if ready is not None:
            ready.set()
        await self._seat.run(self._lead)

    async def _lead(self, taken: Taken) -> None:
        scaler, term = Scaler(self._rules), taken.terms[0]
        sample = PoolScaled(skill="x", before=0, after=0, reason="", term=term)
        self._last = await self._bus.log.newest(of_event(self._event(sample)))
        try:
            while True:
                try:
                    await self._look(scaler, term)
                except Conflict:
                    _log.warning("another scaler has decided since term %d began", term)
                    return
                except StigmergyError as error:
                    _log.warning("not scaling now: %s", error)
                await asyncio.sleep(_LOOK_S)
        finally:
            await asyncio.shield(self._pools.close())

    async def _look(self, scaler: Scaler, term: int) -> None:
        answer = self._services.ask(self._tenant, BACKLOG, b"")
        said = b"".join([part async for part in answer])
        seen = {one.skill: one for one in msgspec.json.decode(said, type=list[SkillBacklog])}
        await self._pools.remind()
        for decision in scaler.decide(seen, self._pools.have(), time.monotonic()):
            await self._record(decision, term)
            _log.info("%s: %d -> %d, %s", decision.skill, decision.before, decision.after, decision.reason)
            await self._pools.resize(decision.skill, decision.after)

    async def _record(self, decision: Decision, term: int) -> None:
        """On the log before it is done, compared with the last decision that this term knows. Raises Conflict."""
        payload = PoolScaled(
            skill=decision.skill, before=decision.before, after=decision.after, reason=decision.reason, term=term
        )
        event = self._event(payload)
        [result] = await self._bus.log.write([Write((event,), Guard(of_event(event), self._last))])
        if isinstance(result, StigmergyError):
            raise result
        self._last = result.sequence

    def _event(self, payload: PoolScaled) -> Event:
        return envelop(payload, id=uuid7(), source=f"/scaler/{self._name}", at=datetime.now(UTC), tenant=self._tenant)
