"""From a payload to its envelope."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.envelope import NO_MISSION, Event, rfc3339
from schemas.events.base import Payload


def envelop(
    payload: Payload,
    *,
    id: str,
    source: str,
    at: datetime,
    tenant: str,
    mission: str = NO_MISSION,
    cause: str | None = None,
    correlation: str | None = None,
    traceparent: str | None = None,
) -> Event:
    """The event that carries ``payload``. Fields that have their default values are left out of the bytes."""
    return Event(
        id=id,
        source=source,
        type=payload.TYPE,
        time=rfc3339(at),
        tenant=tenant,
        mission=mission,
        subject=payload.about(),
        dataversion=payload.VERSION,
        causationid=cause,
        correlationid=correlation,
        traceparent=traceparent,
        data=msgspec.Raw(payload.__pydantic_serializer__.to_json(payload, exclude_defaults=True)),
    )
