"""What befalls an archive: a full disk, damaged files and commits, dates that are wrong, nights, and kills."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.port import Write
from tests.integration.archive_bench import QUICK, Crash, Crashing, archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

from projections.archive.checking import verify  # noqa: E402
from projections.archive.commits import REPAIR, manifest  # noqa: E402
from projections.archive.compacting import compact  # noqa: E402
from projections.archive.following import ArchiveRole  # noqa: E402
from projections.archive.nightly import Nightly  # noqa: E402
from projections.archive.places import FolderPlace  # noqa: E402
from projections.archive.projection import ArchiveProjection  # noqa: E402
from projections.archive.repairing import DAMAGED, rebuild_all, repair  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402
from schemas.errors import Refused  # noqa: E402

MEGABYTE = 2**20


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def until_troubled(role: ArchiveRole, running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while not role.trouble and not running.done():
            await asyncio.sleep(0.01)


async def caught_up(role: ArchiveRole, running: asyncio.Task[None], end: int) -> None:
    async with asyncio.timeout(20):
        while role.end < end and not running.done():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert role.end == end
    assert role.trouble == ""


def noise(many: int) -> list[Write]:
    return [Write((fact(data=b'{"x":"' + os.urandom(5_000).hex().encode() + b'"}'),)) for _ in range(many)]


async def test_a_disk_that_is_really_full(log: JetStreamLog, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * (MEGABYTE - 64 * 1024))
    place = FolderPlace(small_disk / "archive")
    await log.write(noise(30))
    role = ArchiveRole(log, place, QUICK)
    running = asyncio.create_task(role.run())
    await until_troubled(role, running)
    assert "No space left" in role.trouble
    assert archived(place) == []
    assert [one for one in place.list("") if one.path.endswith(".parquet")] == []
    ballast.unlink()
    await caught_up(role, running, 30)
    assert archived(place) == await logged(log)


async def test_files_that_may_not_grow(log: JetStreamLog, place: FolderPlace) -> None:
    await log.write(noise(30))
    role = ArchiveRole(log, place, QUICK)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, hard))
    try:
        running = asyncio.create_task(role.run())
        await until_troubled(role, running)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "too large" in role.trouble
    await caught_up(role, running, 30)
    assert archived(place) == await logged(log)


async def test_a_damaged_file_is_named_and_taken_from_the_log_again(
    log: JetStreamLog, place: FolderPlace, tmp_path: Path
) -> None:
    for _ in range(3):
        await log.append([fact(days_ago=n % 2) for n in range(20)])
        await archive(log, place)
    hurt, gone = manifest(place).chain[1].files
    data = bytearray((tmp_path / "archive" / hurt.path).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "archive" / hurt.path).write_bytes(data)
    place.remove(gone.path)
    problems = " ".join((await verify(place, None)).problems)
    assert hurt.path in problems
    assert gone.path in problems
    running = asyncio.create_task(ArchiveRole(log, place, QUICK).run())  # the writer need not stop for it
    done = await repair(place, log)
    assert (done.made, done.lost) == ([(2, 2)], [])
    await log.append([fact()])
    async with asyncio.timeout(10):
        while manifest(place).end < 4:
            await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound


async def test_a_writer_whose_own_last_batch_was_mended_goes_on(log: JetStreamLog, place: FolderPlace) -> None:
    await log.append([fact()])
    role = ArchiveRole(log, place, QUICK)
    running = asyncio.create_task(role.run())
    async with asyncio.timeout(10):
        while role.end < 1:
            await asyncio.sleep(0.01)
    place.remove(manifest(place).chain[0].files[0].path)
    assert (await repair(place, log)).made == [(1, 1)]
    assert manifest(place).chain[0].writer == REPAIR
    await log.append([fact()])
    await caught_up(role, running, 2)
    assert archived(place) == await logged(log)


async def test_a_commit_that_cannot_be_read_is_set_aside_at_the_next_start(
    log: JetStreamLog, place: FolderPlace, tmp_path: Path
) -> None:
    for _ in range(3):
        await log.append([fact()])
        await archive(log, place)
    (tmp_path / "archive/commits" / f"{2:020d}.json").write_text("{")
    await log.append([fact()])
    await archive(log, place)
    assert [one.path for one in place.list(DAMAGED)] == [f"{DAMAGED}/{2:020d}.json"]
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound


async def test_everything_is_made_anew_range_by_range(log: JetStreamLog, place: FolderPlace) -> None:
    for _ in range(4):
        await log.append([fact(days_ago=n % 2) for n in range(10)])
        await archive(log, place)
    old = {file.path for commit in manifest(place).chain for file in commit.files}
    steps: list[tuple[int, int]] = []
    projection = ArchiveProjection(log, place, ArchiveRole(log, place))
    assert await projection.rebuild(None, lambda at, goal: steps.append((at, goal))) == 4
    assert steps == [(4, 4)]
    assert old.isdisjoint(one.path for one in place.list(""))
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound
    await rebuild_all(place, log, lambda *_: None)  # a single commit is replaced under its own name
    assert archived(place) == await logged(log)
    with pytest.raises(Refused, match="cannot stop"):
        await projection.rebuild(2, lambda *_: None)


async def test_making_anew_may_be_killed_at_any_point(log: JetStreamLog, place: FolderPlace) -> None:
    crashes = 0
    while True:
        for _ in range(3 if len(manifest(place).chain) < 2 else 0):
            await log.append([fact(days_ago=n % 2) for n in range(4)])
            await archive(log, place)
        before = await logged(log)
        try:
            await rebuild_all(Crashing(place, crashes), log, lambda *_: None)
            break
        except Crash:
            assert archived(place) == before
            assert (await verify(place, log)).sound
        crashes += 1
    assert crashes > 8  # files, the commit, commits and files that it replaces
    assert archived(place) == before
    sweep(place, older_than_s=-1)  # what those left that were killed
    named = {file.path for commit in manifest(place).chain for file in commit.files}
    assert {one.path for one in place.list("") if one.path.endswith(".parquet")} == named
    assert (await verify(place, log)).sound


async def test_what_only_the_archive_has_is_not_made_anew(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    from events.jetstream.keeping import EventsStream

    for _ in range(3):
        await log.append([fact()])
        await archive(log, place)
    before = archived(place)
    await EventsStream(nats).drop_before(2)
    with pytest.raises(Refused, match="begins at 2"):
        await rebuild_all(place, log, lambda *_: None)
    assert archived(place) == before


async def test_events_from_the_future_and_the_far_past(log: JetStreamLog, place: FolderPlace) -> None:
    days = {"1969-07-20": "1969-07-20", "2999-01-01": "1970-01-01", "0001-01-01": "0001-01-01"}
    for day in days:
        await log.append([msgspec.structs.replace(fact(), time=f"{day}T00:00:00.000000Z")])
    await log.append([msgspec.structs.replace(fact(), time="2026-06-30T23:59:60.000000Z")])  # a leap second
    await archive(log, place)
    assert archived(place) == await logged(log)
    found = {file.date for commit in manifest(place).chain for file in commit.files}
    assert found == set(days.values())
    assert (await verify(place, log)).sound
    compact(place, today=datetime.now(UTC).date().isoformat())
    assert archived(place) == await logged(log)


async def test_every_night_once(log: JetStreamLog, place: FolderPlace) -> None:
    for _ in range(3):
        await log.append([fact(days_ago=2)])
        await archive(log, place)
    clock = [datetime(2026, 1, 31, 2, 0, tzinfo=UTC)]
    nights = Nightly(place, time(3, 15), clock=lambda: clock[0], jitter_s=0, look_s=0.005)
    ran: list[date] = []
    once = nights.once

    async def counted() -> None:
        ran.append(clock[0].date())
        await once()

    nights.once = counted  # type: ignore[method-assign]
    running = asyncio.create_task(nights.run())

    async def at(*moment: int) -> int:
        clock[0] = datetime(*moment, tzinfo=UTC)  # type: ignore[misc,arg-type]
        before = len(ran)
        for _ in range(100):
            await asyncio.sleep(0.005)
            if len(ran) > before:
                break
        return len(ran) - before

    try:
        assert await at(2026, 1, 31, 3, 14) == 0
        assert await at(2026, 1, 31, 3, 16) == 1
        async with asyncio.timeout(10):
            while len(manifest(place).chain) > 1:
                await asyncio.sleep(0.01)
        assert await at(2026, 1, 31, 23, 0) == 0
        assert await at(2026, 2, 1, 3, 20) == 1
        assert await at(2027, 6, 1, 12, 0) == 1  # the clock jumps ahead: once, not for every night between
        assert await at(2026, 2, 1, 4, 0) == 0  # and back
        assert await at(2026, 2, 2, 4, 0) == 1
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert archived(place) == await logged(log)


async def test_a_night_that_fails_harms_nobody(log: JetStreamLog, place: FolderPlace) -> None:
    for _ in range(2):
        await log.append([fact(days_ago=2)])
        await archive(log, place)
    file = manifest(place).chain[0].files[0]
    data = place.read(file.path)
    place.write(file.path, b"")
    nights = Nightly(place, time(3, 15))
    await nights.once()
    assert file.path in nights.trouble
    place.write(file.path, data)
    await nights.once()
    assert nights.trouble == ""
    assert len(manifest(place).chain) == 1
    assert archived(place) == await logged(log)


async def test_two_merges_at_once(log: JetStreamLog, place: FolderPlace) -> None:
    for _ in range(4):
        await log.append([fact(days_ago=2) for _ in range(5)])
        await archive(log, place)
    await asyncio.gather(*(asyncio.to_thread(compact, place) for _ in range(3)), return_exceptions=True)
    compact(place)
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound
