"""What the tests of the archive share: events, a role that runs to a point, and short ways to read."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import msgspec
import pytest

from events.port import Log, Window
from schemas.envelope import Event, rfc3339
from schemas.ids import uuid7


def needs_pyarrow() -> None:
    """At home the archive may be left out; in CI it may not."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("pyarrow")


needs_pyarrow()

from projections.archive.following import ArchiveRole, Limits  # noqa: E402
from projections.archive.places import Found, Place  # noqa: E402
from projections.archive.reader import ArchiveReader  # noqa: E402

QUICK = Limits(events=500, seconds=0.05, retry_s=0.02)


def fact(
    type_: str = "note.posted",
    *,
    mission: str = "m1",
    tenant: str = "acme",
    data: bytes = b'{"text":"x"}',
    days_ago: int = 0,
) -> Event:
    return Event(
        id=uuid7(),
        source="/test",
        type=type_,
        time=rfc3339(datetime.now(UTC) - timedelta(days=days_ago)),
        tenant=tenant,
        mission=mission,
        data=msgspec.Raw(data),
    )


class Crash(BaseException):
    """The process is gone: nothing is tidied up."""


class Crashing:
    """A place whose process dies before one of its changes."""

    def __init__(self, place: Place, left: int) -> None:
        self._place, self.left = place, left
        self.name = place.name

    def _change(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1

    def write(self, path: str, data: bytes) -> None:
        self._change()
        self._place.write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._change()
        return self._place.create(path, data)

    def remove(self, path: str) -> None:
        self._change()
        self._place.remove(path)

    def read(self, path: str) -> bytes:
        return self._place.read(path)

    def open(self, path: str) -> BinaryIO:
        return self._place.open(path)

    def list(self, folder: str) -> list[Found]:
        return self._place.list(folder)


async def archive(log: Log, place: Place, limits: Limits = QUICK, *, calendar: Callable[[], float] = time.time) -> None:
    """Run the role until it has archived all that the log holds now."""
    end, done = await log.last_sequence(), asyncio.Event()
    role = ArchiveRole(
        log, place, limits, committed=lambda last: done.set() if last >= end else None, calendar=calendar
    )
    running = asyncio.create_task(role.run())
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait({running, waiting}, timeout=15, return_when=asyncio.FIRST_COMPLETED)
    finished = done.is_set()
    running.cancel()
    waiting.cancel()
    [error, _] = await asyncio.gather(running, waiting, return_exceptions=True)
    if not finished:
        raise error if isinstance(error, Exception) else AssertionError("the role did not come to the end of the log")


async def logged(log: Log, window: Window | None = None) -> list[bytes]:
    return raw([event async for event in log.read(window or Window())])


def archived(place: Place) -> list[bytes]:
    return raw(list(ArchiveReader(place).read()))


def raw(events: Sequence[Event]) -> list[bytes]:
    """Every field of every event, so that lists can be compared."""
    return [msgspec.json.encode(event) for event in events]
