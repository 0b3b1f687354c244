"""What workers say, for tests that play workers themselves."""

from __future__ import annotations

from datetime import datetime

from events.port import Ack, Guard, Log, Write
from schemas.attempts import AttemptOrder
from schemas.envelope import Event
from schemas.events import Payload
from schemas.events.attempt import AttemptStarted
from schemas.events.enveloping import envelop
from schemas.ids import uuid7
from schemas.subjects import of_event


def said(payload: Payload, order: AttemptOrder, worker: str, now: datetime) -> Event:
    """A worker's word as an event, under a fresh id."""
    source = f"/worker/{worker}"
    return envelop(payload, id=uuid7(), source=source, at=now, tenant=order.tenant, mission=order.mission)


async def claim(log: Log, worker: str, order: AttemptOrder, now: datetime) -> bool:
    """Claim an attempt as workers do: a fresh event that must be the first of its key."""
    payload = AttemptStarted(task=order.task, attempt=order.attempt, worker=worker, agent="a")
    event = said(payload, order, worker, now)
    (answer,) = await log.write([Write((event,), Guard(of_event(event, payload.key()), 0), payload.key())])
    return isinstance(answer, Ack)
