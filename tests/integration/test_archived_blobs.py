"""Blobs are copied into the archive, collected when nothing on the server names them, and come back when wanted."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.blobs.bucket import BlobBucket, KeptBlob
from events.blobs.jetstream import STREAM, JetStreamBlobs
from events.blobs.port import BlobMissing, digest_of
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.jetstream.keeping import EventsStream
from events.jetstream.kept import kept_messages
from events.port import Stored
from orchestrator.recalling import read_recording
from schemas.envelope import Event
from schemas.errors import DiskFull, InvalidInput
from stigmergy.archiving import recordings_of
from stigmergy.cli.main import run
from stigmergy.local.ephemeral import nats_server
from stigmergy.settings import Settings
from stigmergy.wiring import open_bus
from tests.integration.archive_bench import archive, fact, needs_pyarrow

needs_pyarrow()

from projections.archive.blobs import BlobCopies, digests_in, put_back  # noqa: E402
from projections.archive.checking import verify  # noqa: E402
from projections.archive.collecting import Collection, Collector  # noqa: E402
from projections.archive.errors import ArchiveDamaged  # noqa: E402
from projections.archive.gaps import JetStreamGaps  # noqa: E402
from projections.archive.mirroring import Mirror, mark  # noqa: E402
from projections.archive.places import FolderPlace  # noqa: E402
from projections.archive.restoring import restore  # noqa: E402
from projections.archive.summary import summary  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402

SUBMITTED = {"objective": "o", "workflow": "hello", "inputs": {}, "labels": {}, "submitted_by": "test"}


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


def mirror(log: JetStreamLog, place: FolderPlace, nats: Client) -> Mirror:
    return Mirror(BlobBucket(nats), log.blobs, place, every_s=0.05)


def collector(log: JetStreamLog, place: FolderPlace, nats: Client, *, days: float = 2.0) -> Collector:
    """One for which so many days have passed."""

    async def later() -> datetime:
        return datetime.now(UTC) + timedelta(days=days)

    return Collector(BlobBucket(nats), log.blobs, place, timedelta(0), lambda: kept_messages(nats), later)


async def bucket(nats: Client) -> list[KeptBlob]:
    return [blob async for blob in BlobBucket(nats).blobs()]


def fresh(nats: Client) -> JetStreamBlobs:
    """A store that remembers nothing of what it has read."""
    return JetStreamBlobs(nats.jetstream())


async def state(nats: Client) -> tuple[int, int]:
    """Messages of the bucket's stream, and bytes."""
    found = (await call(nats, f"STREAM.INFO.{STREAM}"))["state"]
    return int(found["messages"]), int(found["bytes"])


async def test_blobs_are_copied_once(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    contents = [b"", b"x", os.urandom(300_000)]
    digests = [await log.blobs.put(content) for content in contents]
    copying, copies = mirror(log, place, nats), BlobCopies(place)
    assert await copying.once() == 3
    assert [copies.read(digest) for digest in digests] == contents
    assert await copying.once() == 0
    assert await mirror(log, place, nats).once() == 0  # after a restart
    late = await log.blobs.put(b"late")
    assert await copying.once() == 1
    assert copies.read(late) == b"late"
    found = summary(place)
    assert (found.blobs, found.blob_bytes) == (4, 300_005)
    assert (await verify(place, None)).blobs == 4


async def test_another_bucket_is_looked_at_from_its_beginning(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    for number in range(5):
        await log.blobs.put(b"of the first server %d" % number)
    await mirror(log, place, nats).once()
    assert mark(place).sequence >= 10
    await call(nats, f"STREAM.DELETE.{STREAM}")
    assert await mirror(log, place, nats).once() == 0
    await fresh(nats).put(b"of the second")
    assert await mirror(log, place, nats).once() == 1


async def test_a_full_disk_is_waited_for(
    log: JetStreamLog, place: FolderPlace, nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [await log.blobs.put(b"%d" % number) for number in range(3)]
    real, full = BlobCopies.keep, True

    def keep(self: BlobCopies, digest: str, content: bytes) -> None:
        if full and digest == digests[1]:
            raise DiskFull("the archive cannot write", hint="free some space")
        real(self, digest, content)

    monkeypatch.setattr(BlobCopies, "keep", keep)
    copying = mirror(log, place, nats)
    running = asyncio.create_task(copying.run())
    try:
        async with asyncio.timeout(10):
            while not copying.trouble:
                await asyncio.sleep(0.01)
        assert [BlobCopies(place).has(digest) for digest in digests] == [True, False, False]
        full = False
        async with asyncio.timeout(10):
            while copying.trouble or not BlobCopies(place).has(digests[2]):
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert not list(BlobCopies(place).damage())


async def test_a_damaged_copy_is_named(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    digest = await log.blobs.put(b"precious")
    await archive_with_an_event(log, place)
    await mirror(log, place, nats).once()
    assert (await verify(place, log)).sound
    place.write(f"blobs/{digest[7:9]}/{digest[7:]}", b"otherwise")
    report = await verify(place, log)
    assert [problem for problem in report.problems if digest in problem and "damaged" in problem]
    await call(nats, f"STREAM.DELETE.{STREAM}")
    with pytest.raises(ArchiveDamaged):
        await put_back(BlobCopies(place), fresh(nats), [digest])


async def test_what_is_old_copied_and_named_by_nothing_goes(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    unnamed = await log.blobs.put(os.urandom(200_000))
    named = await log.blobs.put(b"PACK named by an event")
    inside = await log.blobs.put(b"PACK named by a payload that is a blob")
    waiting = await log.blobs.put(b"PACK named by a command that waits")
    buried = await log.blobs.put(b"PACK named by a dead letter")
    await log.append([fact(data=json.dumps({"text": named}).encode())])
    large = json.dumps({"text": "y" * 100_000, "packs": [inside]}).encode()
    await log.append([fact(data=large)])
    await nats.jetstream().publish("commands.acme.m1.submit", waiting.encode())
    await log.bury(Stored(1, "events.acme.m1.note.posted", buried.encode()), InvalidInput("poison"))
    assert await collector(log, place, nats).once() == Collection(6, *await sizes(nats), old=6, needed=5, uncopied=1)
    assert await mirror(log, place, nats).once() == 6
    assert (await collector(log, place, nats, days=0.9).once()).old == 0
    would = await collector(log, place, nats).look()
    assert (would.removed, would.freed) == (1, 200_000)
    before = await state(nats)
    done = await collector(log, place, nats).once()
    assert done == would
    messages, size = await state(nats)
    assert (before[0] - messages, before[1] - size > 200_000) == (3, True)  # its name, and two pieces
    assert {blob.digest for blob in await bucket(nats)} == {named, inside, waiting, buried, digest_of(large)}
    with pytest.raises(BlobMissing, match="no blob"):
        await fresh(nats).get(unnamed)
    assert (await put_back(BlobCopies(place), fresh(nats), [unnamed, digest_of(b"nowhere")])) == (
        [unnamed],
        [digest_of(b"nowhere")],
    )
    assert len(await fresh(nats).get(unnamed)) == 200_000


async def test_a_blob_whose_copy_is_damaged_stays_and_is_copied_again(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    digest = await log.blobs.put(b"precious")
    await mirror(log, place, nats).once()
    place.write(f"blobs/{digest[7:9]}/{digest[7:]}", b"otherwise")
    first = await collector(log, place, nats).once()
    assert (first.removed, first.uncopied) == (0, 1)
    assert BlobCopies(place).read(digest) == b"precious"
    assert (await collector(log, place, nats).once()).removed == 1


async def test_who_puts_what_is_old_keeps_it(
    log: JetStreamLog, place: FolderPlace, nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two comes first: putting again, or removing what was looked at before."""
    digest = await log.blobs.put(b"wanted again")
    [seen] = await bucket(nats)
    assert await log.blobs.put(b"wanted again") == digest  # young: nothing is written
    assert await bucket(nats) == [seen]
    monkeypatch.setattr("events.blobs.jetstream.RENEWED_AFTER", timedelta(0))
    assert await log.blobs.renew(digest)
    [renewed] = await bucket(nats)
    assert renewed.sequence > seen.sequence
    assert (renewed.pieces, renewed.size) == (seen.pieces, seen.size)
    assert not await BlobBucket(nats).remove(seen)
    assert await fresh(nats).get(digest) == b"wanted again"
    assert await BlobBucket(nats).remove(renewed)
    assert not await fresh(nats).renew(digest)
    assert await state(nats) == (0, 0)
    assert await fresh(nats).put(b"wanted again") == digest
    assert await fresh(nats).get(digest) == b"wanted again"


async def test_of_two_who_put_the_same_one_is_named(
    log: JetStreamLog, place: FolderPlace, nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's pieces stay until blobs are collected; nobody has to wait for what is being replaced."""
    real, both = JetStreamBlobs._named, asyncio.Barrier(2)

    async def together(self: JetStreamBlobs, digest: str) -> object:
        found = await real(self, digest)
        if found is None:
            await both.wait()
        return found

    monkeypatch.setattr(JetStreamBlobs, "_named", together)
    content = os.urandom(200_000)
    [digest, other] = await asyncio.gather(fresh(nats).put(content), fresh(nats).put(content))
    monkeypatch.setattr(JetStreamBlobs, "_named", real)
    assert (digest, (await state(nats))[0]) == (other, 5)
    assert await fresh(nats).get(digest) == content
    assert (await collector(log, place, nats, days=0.9).look()).leftovers == 0
    would = await collector(log, place, nats, days=1.1).look()
    assert (would.leftovers, (await state(nats))[0]) == (1, 5)
    assert (await collector(log, place, nats, days=1.1).once()).leftovers == 1
    assert (await state(nats))[0] == 3
    assert await fresh(nats).get(digest) == content


async def test_what_another_client_deleted_is_put_again(log: JetStreamLog, nats: Client) -> None:
    digest = await log.blobs.put(b"deleted by hand")
    await (await nats.jetstream().object_store("BLOBS")).delete(digest.removeprefix("sha256:"))
    assert not await fresh(nats).renew(digest)
    assert await fresh(nats).put(b"deleted by hand") == digest
    assert await fresh(nats).get(digest) == b"deleted by hand"


async def test_removed_between_looking_and_renewing(
    log: JetStreamLog, nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await log.blobs.put(b"wanted again")
    monkeypatch.setattr("events.blobs.jetstream.RENEWED_AFTER", timedelta(0))
    real = JetStreamBlobs._named

    async def looked(self: JetStreamBlobs, digest: str) -> object:
        found = await real(self, digest)
        monkeypatch.setattr(JetStreamBlobs, "_named", real)
        assert [await BlobBucket(nats).remove(blob) for blob in await bucket(nats)] == [True]
        return found

    monkeypatch.setattr(JetStreamBlobs, "_named", looked)
    await log.blobs.put(b"wanted again")
    assert await fresh(nats).get(digest) == b"wanted again"


async def test_an_archive_alone_brings_blobs_back(
    log: JetStreamLog, place: FolderPlace, nats: Client, tmp_path: Path
) -> None:
    digest = await log.blobs.put(b"PACK of a workspace")
    await archive_with_an_event(log, place, {"packs": [digest]})
    await mirror(log, place, nats).once()
    with nats_server(tmp_path / "nats") as server:
        nc = await connect(server.url, name="restore")
        await ensure_streams(nc)
        new = await JetStreamLog.open(nc)
        done = await restore(place, new, JetStreamGaps(nc))
        assert (done.events, done.blobs) == (1, 1)
        assert await new.blobs.get(digest) == b"PACK of a workspace"
        assert await mirror(new, place, nc).once() == 0
        await new.close()


async def test_a_fork_of_an_archived_mission_has_its_blobs(
    log: JetStreamLog, place: FolderPlace, nats: Client, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream has forgotten the mission, the server its workspace."""
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    monkeypatch.setenv("STIGMERGY_ARCHIVE_URL", place.name)
    settings = Settings()
    digest = await log.blobs.put(b"PACK of a workspace")
    submitted = {**SUBMITTED, "inputs": {"tree": {"packs": [digest]}}}
    await log.append([mission_event("mission.submitted", submitted)])
    end = await log.append([mission_event("mission.failed", {"failure": {"code": "permanent", "message": "no"}})])
    await log.append([fact()])
    await archive(log, place)
    await mirror(log, place, nats).once()
    async with open_bus(settings, name="test") as bus:
        await read_recording(recordings_of(bus, settings), "default", "old", 1)
        assert (await collector(log, place, nats).once()).needed == 1  # the stream still has the mission
        await EventsStream(nats).drop_before(end + 1)
        assert (await collector(log, place, nats).once()).removed == 1
        assert not await fresh(nats).has(digest)
        await read_recording(recordings_of(bus, settings), "default", "old", 1)
    assert await fresh(nats).get(digest) == b"PACK of a workspace"


async def test_the_commands(
    log: JetStreamLog,
    place: FolderPlace,
    nats: Client,
    nats_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    monkeypatch.setenv("STIGMERGY_ARCHIVE_URL", place.name)

    async def said(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(run, ["archive", *arguments])
        return code, capsys.readouterr().out

    digest = await log.blobs.put(b"PACK of a workspace")
    await log.append([mission_event("mission.submitted", {**SUBMITTED, "inputs": {"tree": digest}})])
    await log.append([fact()])
    await archive(log, place)
    await mirror(log, place, nats).once()
    assert (await said("blobs"))[1].splitlines() == [
        "in the archive: 1 blob, 19 B",
        "on the server: 1 blob, 19 B",
        "  older than the policy wants: 0; named by what the server keeps: 0",
        "  may go: 0, 0 B",
    ]
    found = json.loads((await said("blobs", "--json"))[1])
    assert (found["blobs"], found["archived"], found["removed"]) == (1, 1, 0)
    assert "1 blob, 19 B" in (await said("status"))[1]
    assert (await said("put-back", "old"))[1] == "put back 0 blobs\n"
    await BlobBucket(nats).remove((await bucket(nats))[0])
    assert json.loads((await said("put-back", "old", "--json"))[1]) == {"put_back": [digest], "nowhere": []}
    assert await fresh(nats).has(digest)
    assert (await said("put-back", "nobody"))[0] == 2


def test_leftovers_of_copies_are_swept(place: FolderPlace, tmp_path: Path) -> None:
    BlobCopies(place).keep(digest_of(b"x"), b"x")
    part = tmp_path / "archive" / "blobs" / "2d" / ".half.part"
    part.write_bytes(b"half")
    assert [copy.digest for copy in BlobCopies(place).all()] == [digest_of(b"x")]
    os.utime(part, (1, 1))
    assert sweep(place) == ["blobs/2d/.half.part"]
    assert BlobCopies(place).read(digest_of(b"x")) == b"x"


def test_what_looks_like_a_digest() -> None:
    whole = digest_of(b"x")
    assert digests_in(f'["{whole}", "{whole}0", "sha256:ab"]'.encode()) == {whole}
    assert digests_in(json.dumps({"as text": json.dumps([whole])}).encode()) == {whole}


def mission_event(kind: str, data: object) -> Event:
    return fact(kind, mission="old", tenant="default", data=json.dumps(data).encode())


async def archive_with_an_event(log: JetStreamLog, place: FolderPlace, data: object = None) -> None:
    await log.append([fact(data=json.dumps(data or {"text": "x"}).encode())])
    await archive(log, place)


async def sizes(nats: Client) -> list[int]:
    return [sum([blob.size for blob in await bucket(nats)])]
