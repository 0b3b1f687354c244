"""Connections to Redis, and its errors in the words of our tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from projections.world.scripts import Connection
from schemas.errors import Unavailable

CLUSTER = "redis+cluster://"
_PATIENCE_S = 5.0


class WorldUnavailable(Unavailable):
    """The world model does not answer, or is empty and being folded anew."""

    code = "world_unavailable"


def connect(url: str, *, patience_s: float = _PATIENCE_S) -> Connection:
    """A client that connects when it is used. ``redis+cluster://host:port`` is any node of a cluster.

    ``patience_s``: seconds to wait for an answer, twice.
    """
    patience: dict[str, Any] = {"socket_timeout": patience_s, "socket_connect_timeout": patience_s}
    if url.startswith(CLUSTER):
        return RedisCluster.from_url(url.replace(CLUSTER, "redis://", 1), **patience)
    # Once more at once, for a pooled connection may be one to a server that has been restarted since. Writing twice is
    # harmless: the store refuses what does not follow.
    client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 1), **patience)
    return client


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Errors of Redis as ours. Raises :class:`WorldUnavailable`."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise WorldUnavailable(
            f"Redis did not let us {doing}: {error or type(error).__name__}",
            hint="is Redis running? missions go on without it; `stig doctor` looks",
        ) from error
