"""The archive follows a real log: nothing lost, nothing doubled, whatever dies or fills up."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import sys
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.port import Window, Write
from tests.integration.archive_bench import QUICK, Crash, Crashing, archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

from pyarrow import fs as arrow_fs  # noqa: E402

from projections.archive.arrow_place import ArrowPlace, open_place  # noqa: E402
from projections.archive.commits import manifest  # noqa: E402
from projections.archive.errors import ArchiveUnavailable  # noqa: E402
from projections.archive.following import ArchiveRole  # noqa: E402
from projections.archive.messages import messages_of  # noqa: E402
from projections.archive.places import FolderPlace, Place  # noqa: E402
from projections.archive.reader import ArchiveReader  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402
from projections.archive.writer import ArchiveWriter  # noqa: E402
from schemas.errors import Conflict, InvalidInput  # noqa: E402

_PROGRAM = Path(__file__).with_name("archive_writer.py")
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["folder", "arrow"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return open_place(str(tmp_path / "archive"))
    (tmp_path / "store").mkdir()
    return ArrowPlace(arrow_fs.SubTreeFileSystem(str(tmp_path / "store"), arrow_fs.LocalFileSystem()), "store")


async def test_what_is_read_is_what_was_logged(log: JetStreamLog, nats: Client, place: Place) -> None:
    await log.append([fact()])
    await log.append([fact(mission=f"m{n % 3}", tenant=f"t{n % 2}", days_ago=n % 4) for n in range(900)])
    await log.append([fact(data=b'{"text":"' + b"y" * 300_000 + b'"}')])  # to the blob store and back
    odd = [
        msgspec.structs.replace(fact(), time="2026-01-31T12:00:00+02:00"),
        msgspec.structs.replace(fact(), time="yesterday"),
        msgspec.structs.replace(fact(), time="9998-01-01T00:00:00.000000Z"),
        msgspec.structs.replace(fact(), dataversion=10**20, subject="häh\u0000", correlationid="c", traceparent="t"),
        fact(data=b'{"text":"\xff\xfe"}'),
    ]
    await log.write([Write((each,)) for each in odd])
    js = nats.jetstream()
    await js.publish("events.acme.m1.note.posted", b"no event at all")
    await log.append([fact()])
    await js.publish("events.acme.m1.note.posted", b"nor this, at the end of the log")
    await archive(log, place)
    assert archived(place) == await logged(log)
    found = manifest(place)
    assert found.end == await log.last_sequence()
    assert [b.first for b in found.chain[1:]] == [a.last + 1 for a in found.chain[:-1]]
    assert {file.date for commit in found.chain for file in commit.files} >= {"1970-01-01"}
    await log.append([fact()])
    await archive(log, place)  # another writer goes on where this one ended
    assert archived(place) == await logged(log)


async def test_one_mission_types_and_ranges(log: JetStreamLog, place: Place) -> None:
    kinds = ["note.posted", "tool.called"]
    await log.write([Write((fact(kinds[n % 2], mission=f"m{n % 7}"),)) for n in range(700)])
    await archive(log, place)
    reader, everything = ArchiveReader(place), list(ArchiveReader(place).read())
    assert list(reader.read("m3")) == [each for each in everything if each.mission == "m3"]
    assert list(reader.read("m3", 100, 300)) == [
        each for each in everything if each.mission == "m3" and 100 <= each.sequence <= 300
    ]
    assert list(reader.read(types=["tool.*"])) == [each for each in everything if each.type == "tool.called"]
    assert list(reader.read(types=["note.posted"], tenant="acme", last=10)) == everything[0:10:2]
    assert list(reader.read("nobody")) == []


async def test_killed_again_and_again(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    chance = random.Random(11)
    for _ in range(5):
        writer = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_PROGRAM), nats_url, str(tmp_path / "archive")),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        assert writer.stdout is not None
        await writer.stdout.readline()
        until = asyncio.get_running_loop().time() + chance.uniform(0.05, 0.4)
        while asyncio.get_running_loop().time() < until or not manifest(place).end:
            await log.append([fact(days_ago=n % 3) for n in range(200)])
        writer.kill()
        await writer.wait()
    before = manifest(place).end
    await archive(log, place)
    assert 0 < before < await log.last_sequence()
    assert archived(place) == await logged(log)


async def test_leftovers_do_not_count_and_are_swept(log: JetStreamLog, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    await log.append([fact()])
    await archive(log, place)
    [file] = manifest(place).chain[0].files
    left = file.path.replace(".parquet", "0.parquet")
    place.write(left, place.read(file.path))  # written, and killed before the commit
    (tmp_path / "archive/commits/.1.json.part").write_bytes(b"{")
    assert sweep(place) == []
    assert archived(place) == await logged(log)
    assert sorted(sweep(place, older_than_s=-1)) == sorted([left, "commits/.1.json.part"])
    assert archived(place) == await logged(log)


async def test_of_two_writers_one_stops(log: JetStreamLog, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    await log.write([Write((fact(),)) for _ in range(4)])
    events = [event async for event in log.read(Window())]
    one, other = ArchiveWriter(place), ArchiveWriter(place)
    one.commit(1, 2, messages_of(events[:2]))
    with pytest.raises(Conflict, match="another writer"):
        other.commit(1, 3, messages_of(events[:3]))
    assert len(place.list("tenant=acme")) == 1  # the loser takes its files away
    running = asyncio.create_task(ArchiveRole(log, place, QUICK).run())
    await asyncio.sleep(0.5)
    with pytest.raises(Conflict, match="another writer"):
        one.commit(3, 4, messages_of(events[2:]))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert archived(place) == await logged(log)


async def test_a_full_disk_is_waited_for(
    log: JetStreamLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, sync, left = FolderPlace(tmp_path / "archive"), os.fsync, [5]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    await log.append([fact(days_ago=n % 3) for n in range(50)])
    monkeypatch.setattr("projections.archive.places.os.fsync", full)
    await archive(log, place)
    assert left[0] < 0
    assert "No space left" in caplog.text
    assert archived(place) == await logged(log)
    assert len(place.list("")) == sum(len(one.files) + 1 for one in manifest(place).chain)


async def test_an_archive_of_another_log_is_refused(log: JetStreamLog, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    await log.append([fact()])
    ArchiveWriter(place).commit(1, 1, messages_of([msgspec.structs.replace(fact(), sequence=1)]))
    with pytest.raises(InvalidInput, match="another log"):
        await ArchiveRole(log, place, QUICK).run()
    ArchiveWriter(place).commit(2, 9, [])
    with pytest.raises(InvalidInput, match="goes to 9 and the log to 1"):
        await ArchiveRole(log, place, QUICK).run()


async def test_a_removed_commit_is_archived_again(log: JetStreamLog, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    for _ in range(3):
        await log.write([Write((fact(),)) for _ in range(5)])
        await archive(log, place)
    chain = manifest(place).chain
    place.remove(f"commits/{chain[1].first:020d}.json")
    assert manifest(place).beyond_gap == chain[2].first
    await log.append([fact()])
    await archive(log, place)
    assert manifest(place).beyond_gap is None
    assert archived(place) == await logged(log)


async def test_a_writer_may_die_before_any_of_its_changes(log: JetStreamLog, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "archive")
    await log.write([Write((fact(days_ago=n % 3),)) for n in range(9)])
    events = [event async for event in log.read(Window())]
    for changes in range(4):  # three files and the commit
        with pytest.raises(Crash):
            ArchiveWriter(Crashing(place, changes)).commit(1, 9, messages_of(events))
        assert archived(place) == []
    assert len(place.list("")) == 6
    await archive(log, place)
    assert archived(place) == await logged(log)


@pytest.mark.parametrize("written", [True, False])
async def test_a_commit_whose_writing_ended_with_an_error(log: JetStreamLog, tmp_path: Path, written: bool) -> None:
    class Unsure(FolderPlace):
        failing = True

        def create(self, path: str, data: bytes) -> bool:
            if self.failing:
                self.failing = False
                if written:
                    super().create(path, data)
                raise ArchiveUnavailable("the answer was lost")
            return super().create(path, data)

    place = Unsure(tmp_path / "archive")
    await log.append([fact(days_ago=n % 3) for n in range(9)])
    await archive(log, place)
    assert archived(place) == await logged(log)
    assert len(manifest(place).chain) == 1
