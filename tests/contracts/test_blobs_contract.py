"""What every blob store keeps to."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.object_store import ObjectStore

from events.blobs.jetstream import BUCKET, JetStreamBlobs
from events.blobs.memory import MemoryBlobs
from events.blobs.port import BlobMissing, BlobStore, digest_of, verified

pytestmark = pytest.mark.timeout(20)
CONTENTS = {"empty": b"", "a byte": b"\x00", "text": "äöü".encode(), "several chunks": bytes(range(256)) * 2000}


@pytest.fixture
def memory() -> BlobStore:
    return MemoryBlobs()


@pytest.fixture
async def jetstream(nats: Client) -> BlobStore:
    return JetStreamBlobs(nats.jetstream())


@pytest.fixture(params=["memory", "jetstream"])
def blobs(request: pytest.FixtureRequest) -> BlobStore:
    made: BlobStore = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("kind", CONTENTS)
async def test_content_comes_back_under_its_hash(blobs: BlobStore, kind: str) -> None:
    digest = await blobs.put(CONTENTS[kind])
    assert digest == "sha256:" + hashlib.sha256(CONTENTS[kind]).hexdigest()
    assert await blobs.has(digest)
    assert await blobs.renew(digest)
    assert await blobs.get(digest) == CONTENTS[kind]
    assert await blobs.get(digest) == CONTENTS[kind]


async def test_the_same_content_is_one_blob(blobs: BlobStore) -> None:
    assert await blobs.put(b"same") == await blobs.put(b"same")


async def test_writers_of_the_same_content_do_not_disturb_each_other(blobs: BlobStore) -> None:
    data = CONTENTS["several chunks"]
    assert set(await asyncio.gather(*(blobs.put(data) for _ in range(5)))) == {digest_of(data)}
    assert await asyncio.gather(*(blobs.get(digest_of(data)) for _ in range(5))) == [data] * 5


@pytest.mark.parametrize("digest", [digest_of(b"never stored"), "https://example.org/elsewhere", "sha256:"])
async def test_what_is_not_there_is_missing(blobs: BlobStore, digest: str) -> None:
    assert not await blobs.has(digest)
    assert not await blobs.renew(digest)
    with pytest.raises(BlobMissing, match="no blob"):
        await blobs.get(digest)


def test_damage_is_noticed() -> None:
    assert verified(b"x", digest_of(b"x")) == b"x"
    with pytest.raises(BlobMissing, match="damaged"):
        verified(b"y", digest_of(b"x"))


async def test_a_store_that_is_made_by_two_at_once(nats: Client) -> None:
    stores = [JetStreamBlobs(nats.jetstream()) for _ in range(5)]
    await asyncio.gather(*(store.put(str(number).encode()) for number, store in enumerate(stores)))
    assert [await stores[0].get(digest_of(str(number).encode())) for number in range(5)] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


async def test_another_process_reads_what_one_stored(nats: Client) -> None:
    digest = await JetStreamBlobs(nats.jetstream()).put(b"shared")
    assert await JetStreamBlobs(nats.jetstream()).get(digest) == b"shared"


async def test_a_reader_goes_on_whose_blob_is_written_once_more(nats: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second writer of the same content removes the pieces that the reader has just been told of."""
    data = CONTENTS["several chunks"]
    digest = await JetStreamBlobs(nats.jetstream()).put(data)
    store, name = await nats.jetstream().object_store(BUCKET), digest.removeprefix("sha256:")
    before = await store.get_info(name)
    await store.put(name, data)
    real, asked = ObjectStore.get_info, 0

    async def late(self: ObjectStore, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        return before if asked <= 2 else await real(self, *args)

    monkeypatch.setattr(ObjectStore, "get_info", late)
    assert await JetStreamBlobs(nats.jetstream()).get(digest) == data
    assert asked > 2
