"""Make the streams and the blob bucket before any role starts: ``python -m stigmergy.deploy.prepare``.

Workers and clients may not create streams, and the bucket is otherwise made by whoever stores the first blob. Repeating
it changes nothing. The user of ``STIGMERGY_NATS_URL`` must be ``orchestrator``, ``task_queue`` or ``operator``.
"""

from __future__ import annotations

import asyncio
import logging

from nats.errors import Error as NatsError
from nats.js.api import ObjectStoreConfig
from nats.js.errors import BadRequestError, NotFoundError

from events.blobs.jetstream import BUCKET
from events.jetstream import connect, ensure_streams
from schemas.errors import LogUnavailable
from stigmergy.settings import Settings
from stigmergy.wiring import nats_url

_log = logging.getLogger(__name__)
OLDEST = (2, 11)
"""Older servers ignore ``Nats-Expected-Last-Subject-Sequence-Subject``, by which decisions are guarded: missions are
accepted there and then stand still, with no error anywhere (seen with 2.10.27)."""


async def prepare(url: str) -> None:
    """Make what is missing on the server at ``url``. Raises :class:`LogUnavailable`, also for a server too old."""
    nc = await connect(url, name="prepare", timeout_s=30.0)
    try:
        version = nc.connected_server_version
        check_version(version.major, version.minor)
        await ensure_streams(nc)
        js = nc.jetstream()
        try:
            await js.object_store(BUCKET)
        except NotFoundError:
            await js.create_object_store(BUCKET, config=ObjectStoreConfig())
    except BadRequestError:
        _log.info("somebody else made the bucket in this very moment")
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(
            f"the blob bucket cannot be made: {error or type(error).__name__}",
            hint="may this user create streams? see docs/operations.md, 'Permissions'",
        ) from error
    finally:
        await nc.close()


def check_version(major: int, minor: int) -> None:
    """Raises :class:`LogUnavailable` for a NATS server that cannot guard our appends."""
    if (major, minor) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise LogUnavailable(
            f"NATS {major}.{minor} is too old: it ignores the guards of our appends",
            hint=f"run NATS {needed} or newer",
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(prepare(nats_url(Settings())))
    _log.info("the streams and the blob bucket are there")
