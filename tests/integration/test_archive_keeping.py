"""Looking after an archive: proof, merging, restoring, and the commands for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.memory import MemoryLog
from events.port import Ack, Window, Write
from stigmergy.local.ephemeral import nats_server
from tests.integration.archive_bench import Crash, Crashing, archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

from projections.archive.blobs import BlobCopies  # noqa: E402
from projections.archive.checking import verify  # noqa: E402
from projections.archive.columns import events_of, table_of  # noqa: E402
from projections.archive.commits import Commit, chain, manifest  # noqa: E402
from projections.archive.compacting import compact  # noqa: E402
from projections.archive.errors import ArchiveDamaged, ArchiveUnavailable  # noqa: E402
from projections.archive.gaps import JetStreamGaps  # noqa: E402
from projections.archive.messages import messages_of  # noqa: E402
from projections.archive.parquet import encoded, in_file_order  # noqa: E402
from projections.archive.places import FolderPlace  # noqa: E402
from projections.archive.reader import ArchiveReader  # noqa: E402
from projections.archive.restoring import restore  # noqa: E402
from projections.archive.summary import summary  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402
from schemas.errors import Conflict, Refused, StigmergyError  # noqa: E402
from schemas.events.attempt import AttemptStarted  # noqa: E402
from schemas.events.mission import MissionSubmitted  # noqa: E402
from stigmergy.missions import read_mission  # noqa: E402

TOMORROW = "2999-01-01"


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


async def filled(log: JetStreamLog, place: FolderPlace, batches: int = 4) -> None:
    for number in range(batches):
        await log.append([fact(mission=f"m{n % 3}", days_ago=1 + n % 2) for n in range(60)])
        await log.append([fact(tenant=f"t{number}", days_ago=1)])
        await archive(log, place)


async def test_a_sound_archive(log: JetStreamLog, place: FolderPlace) -> None:
    await filled(log, place)
    report = await verify(place, log)
    assert (report.problems, report.events, report.compared, report.compared_from) == ([], 244, 244, 1)
    assert (await verify(place, None)).compared == 0
    compact(place, today=TOMORROW)
    assert (await verify(place, log)).checksum == report.checksum


async def test_a_tampered_row_is_named(log: JetStreamLog, place: FolderPlace, tmp_path: Path) -> None:
    await filled(log, place, 1)
    file = max(manifest(place).chain[0].files, key=lambda one: one.rows)
    with place.open(file.path) as opened:
        import pyarrow.parquet as pq

        events = list(events_of(pq.ParquetFile(opened).read()))
    events[7] = msgspec.structs.replace(events[7], data=msgspec.Raw(b'{"text":"z"}'))
    place.write(file.path, encoded(in_file_order(table_of(messages_of(events)))))
    told = (await verify(place, log)).problems
    assert len(told) == 2
    assert "is not what was committed" in told[0]
    assert told[1] == f"event {events[7].sequence}.{events[7].index} ({events[7].id}) differs in data"


async def test_a_missing_file_commit_and_a_broken_page(log: JetStreamLog, place: FolderPlace) -> None:
    await filled(log, place, 3)
    first, middle, last = manifest(place).chain
    kept = place.read(first.files[0].path)
    place.remove(first.files[0].path)
    with pytest.raises(ArchiveDamaged, match="is missing"):
        archived(place)
    told = (await verify(place, log)).problems
    assert told[0].startswith(f"{first.files[0].path}: is missing")
    assert told[1].startswith(f"events {first.first} to {first.last} cannot be compared")
    place.write(first.files[0].path, kept[:900] + bytes([kept[900] ^ 255]) + kept[901:])
    with pytest.raises(ArchiveDamaged, match="cannot be read"):
        archived(place)
    place.write(first.files[0].path, kept)
    place.remove(f"commits/{middle.first:020d}.json")
    told = (await verify(place, log)).problems
    assert told == [f"the sequences {middle.first} to {middle.last} are missing: no commit covers them"]
    path = f"commits/{last.first:020d}.json"
    place.write(path, place.read(path).replace(b'"rows": 1,', b'"rows": 2,'))
    with pytest.raises(ArchiveDamaged, match="cannot be read"):
        manifest(place)


async def test_an_event_that_the_log_lacks_or_has_besides(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await log.write([Write((fact(),)) for _ in range(4)])
    await archive(log, place)
    await nats.jetstream().delete_msg("EVENTS", 3)
    [problem] = (await verify(place, log)).problems
    assert problem.endswith("is in the archive and not in the log")
    await nats.jetstream().delete_msg("EVENTS", 1)
    assert (await verify(place, log)).compared_from == 2  # the log's beginning may have been trimmed


async def test_merging_keeps_every_event(log: JetStreamLog, place: FolderPlace) -> None:
    await filled(log, place)
    before = archived(place)
    reader = ArchiveReader(place)
    reading = reader.read()
    seen = [next(reading)]
    merged = compact(place, today=TOMORROW)
    assert merged.commits == (4, 1)
    assert merged.files == (12, 6)
    assert archived(place) == before
    assert [msgspec.json.encode(each) for each in (*seen, *reading)] == before  # a reader is not disturbed
    assert len(place.list("")) == 7
    await filled(log, place, 1)  # the writer goes on behind it
    assert archived(place) == await logged(log)
    assert compact(place, today="2000-01-01").commits == (2, 2)  # days that are not over are left alone


async def test_merging_may_be_killed_at_any_point(log: JetStreamLog, place: FolderPlace) -> None:
    await filled(log, place, 3)
    before, crashes = archived(place), 0
    while True:
        try:
            compact(Crashing(place, crashes), today=TOMORROW)
            break
        except Crash:
            assert archived(place) == before
            if crashes % 3 == 2:
                sweep(place, older_than_s=-1)
                assert archived(place) == before
        crashes += 1
        if len(manifest(place).chain) == 1:
            await filled(log, place, 2)
            before = archived(place)
    assert crashes > 8
    sweep(place, older_than_s=-1)
    assert archived(place) == before == await logged(log)
    assert (await verify(place, log)).sound


def test_the_chain_finds_its_way() -> None:
    def commit(first: int, last: int) -> Commit:
        return Commit(first=first, last=last, events=0, files=(), writer="w", written="")

    def ways(*ranges: tuple[int, int]) -> list[tuple[int, int]]:
        return [(one.first, one.last) for one in chain([commit(*each) for each in ranges])]

    assert ways() == []
    assert ways((2, 3)) == []
    assert ways((1, 2), (3, 4), (6, 9)) == [(1, 2), (3, 4)]
    assert ways((1, 2), (3, 4), (1, 4), (5, 5)) == [(1, 4), (5, 5)]
    assert ways((1, 5), (1, 4), (5, 9)) == [(1, 4), (5, 9)]  # the longest step is a dead end


async def _filled_with_a_mission(log: JetStreamLog, nats: Client) -> None:
    submitted = MissionSubmitted(objective="o", workflow="w", inputs={})
    claim = AttemptStarted(task="a", attempt=1, worker="w", agent="x")
    await nats.jetstream().publish("events.acme.m1.note.posted", b"unreadable, before all")
    await log.append([fact("mission.submitted", data=submitted.model_dump_json().encode())])
    started = fact("attempt.started", data=claim.model_dump_json().encode())
    await log.write([Write((started,), key=claim.key())])
    await log.append([fact() for _ in range(100)])
    await nats.jetstream().publish("events.acme.m1.note.posted", b"unreadable, in between")
    await log.append([fact(data=b'{"text":"' + b"y" * 200_000 + b'"}')])
    await nats.jetstream().publish("events.acme.m1.note.posted", b"unreadable, at the end")


async def test_restored_into_an_empty_server(
    log: JetStreamLog, nats: Client, place: FolderPlace, tmp_path: Path, nats_url: str
) -> None:
    await _filled_with_a_mission(log, nats)
    await archive(log, place)
    with pytest.raises(Refused, match="not empty"):
        await restore(place, log, JetStreamGaps(nats))
    with nats_server(tmp_path / "nats") as server:
        nc = await connect(server.url, name="restore")
        await ensure_streams(nc)
        new = await JetStreamLog.open(nc)
        with pytest.raises(Refused, match="is empty"):
            await restore(FolderPlace(tmp_path / "nothing"), new, JetStreamGaps(nc))
        done = await restore(place, new, JetStreamGaps(nc))
        assert (done.events, done.left_out) == (103, ())
        assert await logged(new) == await logged(log)  # the same ids, and the same sequences
        assert await new.last_sequence() == await log.last_sequence()
        claims = "events.acme.m1.attempt.started.a:1"
        assert await new.newest(claims) == await log.newest(claims) > 0
        assert (await read_mission(new, "acme", "m1")) == (await read_mission(log, "acme", "m1"))
        assert (await verify(place, new)).sound
        await new.append([fact()])
        await archive(new, place)  # the archive goes on with the new server
        assert archived(place) == await logged(new)
        await new.close()


async def test_restoring_stops_if_somebody_else_writes(place: FolderPlace, log: JetStreamLog, nats: Client) -> None:
    class Busy(MemoryLog):
        async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
            await super().write([Write((fact(),))])
            return await super().write(writes)

    await log.append([fact()])
    await archive(log, place)
    with pytest.raises(Conflict, match="somebody else"):
        await restore(place, Busy(), JetStreamGaps(nats))
    with pytest.raises(Conflict, match="somebody else"):
        await JetStreamGaps(nats).skip(5, 6)


async def test_a_commit_of_a_later_release_is_not_called_damaged(place: FolderPlace) -> None:
    place.write("commits/1.json", b'{"seal": "", "commit": {"version": 2}}')
    with pytest.raises(ArchiveUnavailable, match="later release"):
        manifest(place)


async def test_reading_one_mission_is_quick(place: FolderPlace) -> None:
    from projections.archive.writer import ArchiveWriter

    one = fact()
    events = [
        msgspec.structs.replace(
            one, id=f"{n:032x}", mission=f"m{n // 100 % 500:03d}", sequence=n // 100 + 1, index=n % 100
        )
        for n in range(100_000)
    ]
    ArchiveWriter(place).commit(1, 1000, messages_of(events))
    began = time.perf_counter()
    found = list(ArchiveReader(place).read("m123"))
    assert time.perf_counter() - began < 0.5
    assert found == [each for each in events if each.mission == "m123"]


async def test_the_commands(
    log: JetStreamLog,
    place: FolderPlace,
    nats_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from stigmergy.cli.main import run

    await filled(log, place, 2)
    await log.append([fact()])
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    monkeypatch.setenv("STIGMERGY_ARCHIVE_URL", place.name)

    async def said(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(run, ["archive", *arguments])
        return code, capsys.readouterr().out

    code, shown = await said("status", "--json")
    status = json.loads(shown)
    assert (code, status["lag"], status["events"], status["ranges"]) == (0, 1, 122, 2)
    assert "122 events in 6 files" in (await said("status"))[1]
    assert (await said("compact"))[0] == 0
    assert (await said("verify"))[1].startswith("sound: ")
    place.remove(manifest(place).chain[0].files[0].path)
    code, shown = await said("verify", "--json")
    assert (code, json.loads(shown)["sound"]) == (1, False)
    assert (await said("restore"))[0] == 1
    assert "taken from the log again: 1 to" in (await said("repair"))[1]
    assert "nothing was damaged" in (await said("repair"))[1]
    assert (await said("verify"))[0] == 0
    assert "begins at 1; the policy would have it begin at 1" in (await said("retention"))[1]
    assert (await said("retention", "--forget", "nobody"))[0] == 2
    monkeypatch.setenv("STIGMERGY_EVENTS_MAX_BYTES", "1MiB")
    assert json.loads((await said("retention", "--json"))[1])["held_by"] == ""


async def test_the_role_is_served(log: JetStreamLog, place: FolderPlace, nats_url: str, tmp_path: Path) -> None:
    given = {"NATS_URL": nats_url, "ARCHIVE_URL": place.name, "ARCHIVE_EVERY_S": "0.1"}
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stigmergy.cli", "serve", "archive"),
        env={**os.environ, **{f"STIGMERGY_{name}": value for name, value in given.items()}},
        cwd=Path(__file__).resolve().parents[2],
        stderr=asyncio.subprocess.PIPE,
    )
    digest = await log.blobs.put(b"of a workspace")
    await log.append([fact()])
    async with asyncio.timeout(15):
        while not (manifest(place).end and BlobCopies(place).has(digest)):
            await asyncio.sleep(0.05)
    serving.terminate()
    _, said = await serving.communicate()
    assert serving.returncode == 0, said.decode()
    assert archived(place) == await logged(log)


async def test_the_summary(log: JetStreamLog, place: FolderPlace) -> None:
    await filled(log, place, 1)
    found = summary(place)
    assert (found.events, found.files, found.leftovers, found.gap) == (61, 3, 0, None)
    assert sum(day.events for day in found.days) == 61
    assert found.bytes_per_event == sum(day.bytes for day in found.days) / 61
    assert found.end == await log.last_sequence()
    assert [event async for event in log.read(Window(last=1))]
