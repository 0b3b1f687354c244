"""Blobs in a JetStream object store: no server besides the one that is there, and reachable from every machine."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import Header, ObjectStoreConfig, RawStreamMsg
from nats.js.errors import BadRequestError, DigestMismatchError, NotFoundError
from nats.js.object_store import ObjectStore

from events.blobs.port import BlobCorrupt, BlobMissing, digest_of, verified
from schemas.errors import LogUnavailable

BUCKET = "BLOBS"
STREAM = f"OBJ_{BUCKET}"
RENEWED_AFTER = timedelta(hours=12)
"""Who puts what is there for so long says that it is wanted anew. Nothing younger than a day is ever collected."""
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
        async with _in_time(digest):
            if not await self._renewed(digest):
                store = await self._open()
                await store.put(_name(digest), data)
        return digest

    async def renew(self, digest: str) -> bool:
        async with _in_time(digest):
            return await self._renewed(digest)

    async def get(self, digest: str) -> bytes:
        if (kept := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return kept
        async with _in_time(digest):
            store = await self._open()
            try:
                content = await _fetched(store, _name(digest))
            except NotFoundError:
                hint = "`stig archive put-back MISSION` brings back what the archive has of a mission"
                raise BlobMissing(f"no blob {digest}", hint=hint) from None
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

    async def _renewed(self, digest: str) -> bool:
        """Whether it is there, and is known to be wanted: what names it is put once more where it is old.

        Whoever collects removes the name first and only as it was seen, and this one is put only behind that one: so
        either the name is new and the blob stays, or the blob is gone and is put whole.
        """
        while (named := await self._named(digest)) is not None:
            age = datetime.now(UTC) - named.time if named.time else RENEWED_AFTER
            if timedelta(0) <= age < RENEWED_AFTER:
                return True
            headers: dict[str, str] = {Header.ROLLUP: "sub", Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(named.seq)}
            try:
                await self._js.publish(subject_of(digest), named.data or b"", headers=headers)
            except BadRequestError:  # it was removed, or renewed by another
                continue
            return True
        return False

    async def _named(self, digest: str) -> RawStreamMsg | None:
        try:
            found = await self._js.get_last_msg(STREAM, subject_of(digest))
        except NotFoundError:  # or there is no bucket yet
            return None
        return None if json.loads(found.data or b"{}").get("deleted") else found

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


def subject_of(digest: str) -> str:
    """Of the message that names a blob and says where its content is."""
    return f"$O.{BUCKET}.M.{base64.urlsafe_b64encode(_name(digest).encode()).decode()}"


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:")
