"""Workers that died while no task-queue manager was there to notice: here by the log, and heard by nobody."""

from __future__ import annotations

import asyncio
import logging

from events.port import Guard, Log, Window, Write
from orchestrator.recording import Recorder
from orchestrator.task_queue.situation import Situation
from schemas.events.fleet import FleetLost
from schemas.events.worker import WorkerJoined, WorkerLeft
from schemas.ids import uuid7
from schemas.subjects import noun_filter, of_event

_log = logging.getLogger(__name__)
_CALLS, _CALL_S = 20, 0.5
"""More patience than a lease: no attempt waits for it, and a lost connection comes back meanwhile."""


async def call_the_roll(log: Log, recorder: Recorder, situation: Situation, upto: int) -> None:
    """Record as lost who is here by the log as it was at ``upto``, and was not heard for ten seconds.

    Seconds are counted in turns that this process got: what it could not hear because it stood still was not silence.

    Raises:
        LogUnavailable: the log does not answer.
    """
    missing = await _present(log, upto)
    for _ in range(_CALLS):
        await asyncio.sleep(_CALL_S)
        for heard in missing.keys() & situation.workers.keys():
            del missing[heard]
        if not missing:
            return
    for worker, tenant in sorted(missing.items()):
        _log.warning("%s has not been heard since this manager came, and has not said goodbye: it is lost", worker)
        await record_lost(log, recorder, worker, tenant, _CALLS * _CALL_S)


async def record_lost(log: Log, recorder: Recorder, worker: str, tenant: str, silent_s: float) -> None:
    """Record the loss once, whichever manager notices it first."""
    payload = FleetLost(worker=worker, silent_s=round(silent_s, 3))
    event = recorder.event(tenant, "_", payload, uuid7(), None)
    await log.write([Write((event,), Guard(of_event(event, payload.key()), 0), payload.key())])


async def _present(log: Log, upto: int) -> dict[str, str]:
    """Tenants by worker, of those that joined and of whom neither a goodbye nor a loss is on record."""
    here: dict[str, str] = {}
    async for event in log.read(Window((noun_filter("worker"), noun_filter("fleet")), last=upto)):
        worker = event.subject or ""
        if event.type == WorkerJoined.TYPE:
            here[worker] = event.tenant
        elif event.type in (WorkerLeft.TYPE, FleetLost.TYPE):
            here.pop(worker, None)
    return here
