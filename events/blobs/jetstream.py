"""Blobs in a JetStream object store: no server besides the one that is there, and reachable from every machine."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import Header, ObjectInfo, ObjectMetaOptions, ObjectStoreConfig, RawStreamMsg
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
_PIECE = 128 * 1024
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
            await self._open()
            while True:
                named = await self._named(digest)
                if named is None or _is_deleted(named):
                    done = await self._put_whole(digest, data, named)
                else:
                    done = await self._renewed(digest, named)
                if done:
                    return digest

    async def renew(self, digest: str) -> bool:
        async with _in_time(digest):
            while (named := await self._named(digest)) is not None and not _is_deleted(named):
                if await self._renewed(digest, named):
                    return True
        return False

    async def get(self, digest: str) -> bytes:
        if (kept := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return kept
        async with _in_time(digest):
            store = await self._open()
            try:
                content = await _fetched(store, _plain(digest))
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
                await store.get_info(_plain(digest))
            except NotFoundError:
                return False
        return True

    async def _renewed(self, digest: str, named: RawStreamMsg) -> bool:
        """What names it says that it is wanted: where it is old, it is put once more. False if it changed meanwhile.

        Whoever collects removes the name first and only as it was seen, and this one is put only behind that one: so
        either the name is new and the blob stays, or the blob is gone and is put whole.
        """
        age = datetime.now(UTC) - named.time if named.time else RENEWED_AFTER
        return timedelta(0) <= age < RENEWED_AFTER or await self._name(digest, named.data or b"", named)

    async def _named(self, digest: str) -> RawStreamMsg | None:
        """The message that names it, or says that it was deleted."""
        try:
            return await self._js.get_last_msg(STREAM, subject_of(digest))
        except NotFoundError:  # or there is no bucket yet
            return None

    async def _name(self, digest: str, told: bytes, before: RawStreamMsg | None) -> bool:
        """Write the message that names it, in place of the one before; False if another came in between."""
        last = str(before.seq if before is not None else 0)
        headers: dict[str, str] = {Header.ROLLUP: "sub", Header.EXPECTED_LAST_SUBJECT_SEQUENCE: last}
        try:
            await self._js.publish(subject_of(digest), told, headers=headers)
        except BadRequestError:
            return False
        return True

    async def _put_whole(self, digest: str, data: bytes, before: RawStreamMsg | None) -> bool:
        """The pieces, and then the name; False if somebody else has named it meanwhile.

        nats-py's own ``put`` names it all the same and removes the other's pieces: a worker may not, and a reader might
        be about to read them. The pieces that are left over go when blobs are collected.
        """
        key = uuid4().hex
        pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
        for piece in pieces:
            await self._js.publish(f"$O.{BUCKET}.C.{key}", piece)
        told = ObjectInfo(
            name=_plain(digest),
            bucket=BUCKET,
            nuid=key,
            size=len(data),
            mtime=datetime.now(UTC).isoformat(),
            chunks=len(pieces),
            digest=f"SHA-256={base64.urlsafe_b64encode(bytes.fromhex(_plain(digest))).decode()}",
            options=ObjectMetaOptions(max_chunk_size=_PIECE),
        )
        return await self._name(digest, json.dumps(told.as_dict()).encode(), before)

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
    """The content of an object, begun again if it is replaced or removed meanwhile.

    Whoever was about to read pieces that are gone would wait for them until the end of its time. Clients other than
    ours replace objects.
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
    return f"$O.{BUCKET}.M.{base64.urlsafe_b64encode(_plain(digest).encode()).decode()}"


def _is_deleted(named: RawStreamMsg) -> bool:
    return bool(json.loads(named.data or b"{}").get("deleted"))


def _plain(digest: str) -> str:
    return digest.removeprefix("sha256:")
