"""Blobs in a JetStream object store: no server besides the one that is there, and reachable from every machine."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from nats.js import JetStreamContext
from nats.js.api import ObjectStoreConfig
from nats.js.errors import BadRequestError, NotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from events.blobs.port import BlobMissing, digest_of, verified

BUCKET = "BLOBS"
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
            store = await self._open()
            await store.put(_name(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        if (kept := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return kept
        store = await self._open()
        try:
            result = await store.get(_name(digest))
        except (ObjectNotFoundError, NotFoundError):
            raise BlobMissing(f"no blob {digest}", hint="was the log restored without its blobs?") from None
        data = verified(result.data or b"", digest)
        self._remember(digest, data)
        return data

    async def has(self, digest: str) -> bool:
        if digest in self._cache:
            return True
        store = await self._open()
        try:
            await store.get_info(_name(digest))
        except (ObjectNotFoundError, NotFoundError):
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
        if len(data) > _CACHE_BYTES // 4:
            return
        self._cache[digest] = data
        self._cached += len(data)
        while self._cached > _CACHE_BYTES:
            _, gone = self._cache.popitem(last=False)
            self._cached -= len(gone)


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:")
