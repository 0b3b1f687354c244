"""Hearing who is there, or being told that one may not."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

from events.signals import NatsSignals
from schemas.errors import Refused
from schemas.signals import HEARTBEATS


async def hear_workers(nc: Client, hear: Callable[[bytes], None]) -> None:
    """Call ``hear`` with the heartbeats of all workers, until the connection is closed.

    Raises:
        Refused: these credentials may not hear them. It would look as if nobody were there.
    """
    await NatsSignals(nc).listen(HEARTBEATS, hear)
    await nc.flush()  # what the server refuses it has said by then
    said = str(nc.last_error or "").lower()
    if "permissions violation" in said and f'"{HEARTBEATS}"' in said:
        raise Refused(
            "who is there cannot be told: these credentials may not hear workers",
            hint="the NATS users client, task_queue, scaler and operator may",
        )
