"""The streams, as they should be; creating and migrating them may be repeated at will."""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ObjectStoreConfig
from nats.js.errors import BadRequestError, NotFoundError

from events.blobs.jetstream import BUCKET
from events.jetstream.api import NOT_FOUND, ApiRefused, call
from schemas.errors import LogUnavailable
from schemas.subjects import COMMANDS, DEAD_LETTERS, EVENTS

_SECOND = 1_000_000_000
_DAY = 24 * 3600 * _SECOND
_MESSAGE_LIMIT = 1024 * 1024
_EXISTS, _STORE_FAILED = 10058, 10049
STORE_PAUSES_S = (0.02, 0.1, 0.5)
"""A server that has just deleted its last stream takes the empty folder above it away in the background, and may do so
while a new stream's folder is made in it (nats-server 2.15, ``stream.stop``). A moment later it succeeds."""
OLDEST = (2, 11)
"""Older servers ignore ``Nats-Expected-Last-Subject-Sequence-Subject``, by which decisions are guarded: missions are
accepted there and then stand still, with no error anywhere (seen with 2.10.27)."""


def wanted(replicas: int = 1) -> list[dict[str, Any]]:
    """The configuration of every stream, in the words of JetStream's API."""
    shared = {"storage": "file", "num_replicas": replicas, "allow_direct": True, "max_msg_size": _MESSAGE_LIMIT}
    return [
        {
            "name": EVENTS,
            "subjects": ["events.>"],
            "retention": "limits",
            "discard": "new",
            "duplicate_window": 600 * _SECOND,
            **shared,
        },
        {
            "name": COMMANDS,
            "subjects": ["commands.>"],
            "retention": "workqueue",
            "discard": "new",
            "duplicate_window": 600 * _SECOND,
            "max_msgs": 1_000_000,
            **shared,
        },
        {
            "name": DEAD_LETTERS,
            "subjects": ["dead.>"],
            "retention": "limits",
            "discard": "old",
            "max_age": 90 * _DAY,
            "max_msgs": 1_000_000,
            "duplicate_window": 600 * _SECOND,
            **shared,
        },
    ]


async def ensure_streams(nc: Client, *, replicas: int = 1, migrate: bool = True) -> None:
    """Create the streams and the blob bucket where they are missing; with ``migrate`` also change what differs.

    Raises:
        LogUnavailable: the server is too old, JetStream does not answer, is not enabled, or refuses a change that
            would need the data moved (the message says which).
    """
    version = nc.connected_server_version
    check_version(version.major, version.minor)
    for config in wanted(replicas):
        await _ensure(nc, config, migrate)
    await _ensure_bucket(nc, replicas)


def check_version(major: int, minor: int) -> None:
    """Raises :class:`LogUnavailable` for a NATS server that cannot guard our appends."""
    if (major, minor) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise LogUnavailable(
            f"NATS {major}.{minor} is too old: it ignores the guards of our appends",
            hint=f"run NATS {needed} or newer",
        )


async def _ensure_bucket(nc: Client, replicas: int) -> None:
    js = nc.jetstream()
    try:
        await js.object_store(BUCKET)
    except NotFoundError:
        try:
            await js.create_object_store(BUCKET, config=ObjectStoreConfig(replicas=replicas))
        except BadRequestError:
            return  # somebody else made it in this very moment
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(
            f"the blob bucket cannot be made: {error or type(error).__name__}",
            hint="may this user create streams? see docs/operations.md, 'Permissions'",
        ) from error


async def _ensure(nc: Client, config: dict[str, Any], migrate: bool) -> None:
    name = config["name"]
    try:
        present = (await call(nc, f"STREAM.INFO.{name}"))["config"]
    except ApiRefused as error:
        if error.number not in NOT_FOUND:
            raise
        await _create(nc, config)
        return
    if not migrate or all(present.get(key) == value for key, value in config.items()):
        return
    try:
        await call(nc, f"STREAM.UPDATE.{name}", {**present, **config})
    except ApiRefused as error:
        raise LogUnavailable(
            f"stream {name} exists with another configuration that cannot be changed: {error.message}",
            hint="see docs/operations.md, 'Moving a stream'",
        ) from error


async def _create(nc: Client, config: dict[str, Any]) -> None:
    for pause_s in (*STORE_PAUSES_S, None):
        try:
            await call(nc, f"STREAM.CREATE.{config['name']}", config)
        except ApiRefused as error:
            if error.number == _EXISTS:  # somebody else created it in this very moment
                return
            if error.number != _STORE_FAILED:
                raise
            if pause_s is None:
                hint = "the log of the NATS server names the cause: its disk may be full, or its folder not be writable"
                raise LogUnavailable(f"stream {config['name']} cannot be made: {error.message}", hint=hint) from error
            await asyncio.sleep(pause_s)
        else:
            return
