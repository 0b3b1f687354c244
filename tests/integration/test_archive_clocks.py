"""Calendars that jump under the archive: nothing is lost, and nothing is taken for old that is being written."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from events.jetstream import JetStreamLog
from tests.integration.archive_bench import archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

from projections.archive.checking import verify  # noqa: E402
from projections.archive.commits import manifest  # noqa: E402
from projections.archive.compacting import compact  # noqa: E402
from projections.archive.places import FolderPlace, Found  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402
from schemas.errors import TimedOut  # noqa: E402


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


class Calendar:
    """A wall clock that is set anew."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Jumping(FolderPlace):
    """A folder whose machine's calendar jumps after some changes; from then on somebody sweeps.

    A file's age is its date before the present: what was written before the jump is made as much older.
    """

    def __init__(self, root: Path, calendar: Calendar, after: int, by: timedelta) -> None:
        super().__init__(root)
        self._calendar, self._left, self._by = calendar, after, by.total_seconds()
        self.folder = root

    def write(self, path: str, data: bytes) -> None:
        super().write(path, data)
        self._jump()

    def create(self, path: str, data: bytes) -> bool:
        created = super().create(path, data)
        self._jump()
        return created

    def _jump(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._calendar.ahead_s += self._by
            for file in self.list(""):
                os.utime(self.folder / file.path, times=(file.changed - self._by,) * 2)
        if self._left <= 0:
            sweep(FolderPlace(self.folder))


JUMPS = [timedelta(days=1), timedelta(hours=-1), timedelta(days=-365 * 30), timedelta(days=365 * 30)]


@pytest.mark.parametrize("by", JUMPS, ids=str)
async def test_a_calendar_that_jumps_between_any_two_changes(log: JetStreamLog, tmp_path: Path, by: timedelta) -> None:
    """Files that no commit names yet are old at once: somebody may take them for leftovers."""
    await log.append([fact(days_ago=n % 3) for n in range(9)])
    for after in range(1, 6):  # a file for each of three days, the commit; and never
        place = Jumping(tmp_path / f"{after}", calendar := Calendar(), after, by)
        await archive(log, place, calendar=calendar)
        await log.append([fact()])
        await archive(log, place, calendar=calendar)
        assert archived(place) == await logged(log)
        assert (await verify(place, log)).sound


async def test_a_calendar_that_jumps_while_files_are_merged(log: JetStreamLog, tmp_path: Path) -> None:
    plain = FolderPlace(tmp_path / "archive")
    for _ in range(3):
        await log.append([fact(days_ago=2), fact(days_ago=3)])
        await archive(log, plain)
    for after in (1, 2):
        calendar = Calendar()
        with pytest.raises(TimedOut):
            compact(Jumping(tmp_path / "archive", calendar, after, timedelta(days=1)), calendar=calendar)
        assert archived(plain) == await logged(log)
        assert (await verify(plain, log)).sound
    assert compact(plain).files == (6, 2)
    assert archived(plain) == await logged(log)


async def test_a_calendar_apart_from_that_of_the_place(log: JetStreamLog, place: FolderPlace) -> None:
    """Whoever sweeps compares ages with the clock that dated the files, as on an object store."""

    class Elsewhere(FolderPlace):
        def list(self, folder: str) -> list[Found]:
            return [replace(found, changed=found.changed - 86_400) for found in super().list(folder)]

    elsewhere = Elsewhere(Path(place.name))
    await log.append([fact()])
    await archive(log, elsewhere)
    left = "tenant=acme/date=2026-01-01/under-way.parquet"
    elsewhere.write(left, b"")
    assert sweep(elsewhere) == []
    old = time.time() - 2 * 3600
    os.utime(Path(place.name) / left, times=(old, old))
    assert sweep(elsewhere) == [left]
    place.write(left, b"")
    os.utime(Path(place.name) / manifest(place).chain[0].files[0].path, times=(2**31, 2**31))  # dated by a wrong clock
    assert sweep(place) == []


async def test_a_part_that_is_swept_while_it_is_written(log: JetStreamLog, tmp_path: Path) -> None:
    class Swept(FolderPlace):
        left = 2

        def _placed(self, path: str, data: bytes, put: Any) -> None:
            def late(part: Path, target: Path) -> None:
                Swept.left -= 1
                if not Swept.left:
                    part.unlink()
                put(part, target)

            super()._placed(path, data, late)

    place = Swept(tmp_path / "archive")
    await log.append([fact(days_ago=n % 3) for n in range(9)])
    await archive(log, place)
    assert archived(place) == await logged(log)


async def test_years_of_jumps(log: JetStreamLog, place: FolderPlace) -> None:
    """The writer's calendar only names the day of its commits, and the waiting is by a clock that does not jump."""
    calendar = Calendar()
    for years in (0, 30, -30, 0):
        calendar.ahead_s = timedelta(days=365 * years).total_seconds()
        await log.append([fact(days_ago=n) for n in range(3)])
        await archive(log, place, calendar=calendar)
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound
