"""Make the streams and the blob bucket before any role starts: ``python -m stigmergy.deploy.prepare``.

Workers and clients may not create streams, and the bucket is otherwise made by whoever stores the first blob. Repeating
it changes nothing. The user of ``STIGMERGY_NATS_URL`` must be ``orchestrator``, ``task_queue`` or ``operator``.
"""

from __future__ import annotations

import asyncio
import logging

from events.jetstream import connect, ensure_streams
from stigmergy.settings import Settings
from stigmergy.wiring import nats_url

_log = logging.getLogger(__name__)


async def prepare(url: str, *, replicas: int = 1) -> None:
    """Make what is missing on the server at ``url``. Raises :class:`LogUnavailable`, also for a server too old."""
    nc = await connect(url, name="prepare", timeout_s=30.0)
    try:
        await ensure_streams(nc, replicas=replicas)
    finally:
        await nc.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    settings = Settings()
    asyncio.run(prepare(nats_url(settings), replicas=settings.nats_replicas))
    _log.info("the streams and the blob bucket are there")
