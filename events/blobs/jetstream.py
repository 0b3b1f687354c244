"""Blobs in a JetStream object store: no server besides the one that is there, and reachable from every machine."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ObjectStoreConfig
from nats.js.errors import BadRequestError, DigestMismatchError, NotFoundError
from nats.js.object_store import ObjectStore

from events.blobs.port import BlobCorrupt, BlobMissing, digest_of, verified
from schemas.errors import LogUnavailable

BUCKET = "BLOBS"
_TRANSFER_S = 60.0
_LOOK_S = 1.0
_CACHE_BYTES = 32 * 1024 * 1024


class JetStreamBlobs:
    """A :class:`~events.blobs.port.BlobStore` over a NATS object store, with a bounded cache of what was read."""

    def __init__(self, js: JetStreamContext, *, replicas: int = 1) -> None:
        self._js = js
        self._replicas = replicas
        self._store: ObjectStore | None = None
        self._opening = asyncio.Lock()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0

    async def put(self, data: bytes) -> str:
        digest = digest_of(data)
        if not await self.has(digest):
            async with _in_time(digest):
                store = await self._open()
                await store.put(_name(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        if (kept := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return kept
        async with _in_time(digest):
            store = await self._open()
            try:
                content = await _fetched(store, _name(digest))
            except NotFoundError:
                raise BlobMissing(f"no blob {digest}", hint="was the log restored without its blobs?") from None
        data = verified(content, digest)
        self._remember(digest, data)
        return data

    async def has(self, digest: str) -> bool:
        if digest in self._cache:
            return True
        async with _in_time(digest):
            store = await self._open()
            try:
                await store.get_info(_name(digest))
            except NotFoundError:
                return False
        return True

    async def _open(self) -> ObjectStore:
        async with self._opening:
            if self._store is None:
                try:
                    self._store = await self._js.object_store(BUCKET)
                except NotFoundError:
                    self._store = await self._create()
        return self._store

    async def _create(self) -> ObjectStore:
        try:
            return await self._js.create_object_store(BUCKET, config=ObjectStoreConfig(replicas=self._replicas))
        except BadRequestError:  # another process created it in this very moment
            return await self._js.object_store(BUCKET)

    def _remember(self, digest: str, data: bytes) -> None:
        if len(data) > _CACHE_BYTES // 4 or digest in self._cache:
            return
        self._cache[digest] = data
        self._cached += len(data)
        while self._cached > _CACHE_BYTES:
            _, gone = self._cache.popitem(last=False)
            self._cached -= len(gone)


async def _fetched(store: ObjectStore, name: str) -> bytes:
    """The content of an object, begun again if it is replaced meanwhile.

    Two who put the same content at once both write it, and the second removes the pieces of the first: who was about to
    read those would wait for them until the end of its time.
    """
    while True:
        known = (await store.get_info(name)).nuid
        getting = asyncio.create_task(store.get(name))
        try:
            while not (await asyncio.wait({getting}, timeout=_LOOK_S))[0]:
                if (await store.get_info(name)).nuid != known:
                    break
            else:
                return getting.result().data or b""
        finally:
            getting.cancel()
            await asyncio.gather(getting, return_exceptions=True)


@asynccontextmanager
async def _in_time(digest: str) -> AsyncIterator[None]:
    """A transfer with a deadline: one whose messages are lost with a connection would wait for ever in nats-py."""
    try:
        async with asyncio.timeout(_TRANSFER_S):
            yield
    except DigestMismatchError:
        raise BlobCorrupt(f"blob {digest} is damaged", hint="restore it from a replica or an archive") from None
    except (NatsError, OSError, TimeoutError) as error:
        raise LogUnavailable(
            f"the blob store did not answer for {digest}: {error or type(error).__name__}",
            hint="is the NATS server running, with JetStream enabled?",
        ) from error


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:")
