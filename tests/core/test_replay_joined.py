"""One reader over a history and the log: no gap, nothing twice, and it says so where something is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.memory import MemoryLog
from events.port import Batch, Window, Write
from events.replay import Choice, Pace
from events.replay.joined import EventsLost, JoinedSource, MissionSource
from events.replay.slices import Slice, slice_of
from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidIdentifier, InvalidInput, StigmergyError
from schemas.ids import uuid7
from stigmergy.cli.pipeline import Pipeline, narrowed

ALL = Slice("acme")


def event(type_: str = "note.posted", mission: str = "m1", tenant: str = "acme", at: datetime | None = None) -> Event:
    return Event(
        id=uuid7(),
        source="/t",
        type=type_,
        time=rfc3339(at or datetime.now(UTC)),
        tenant=tenant,
        mission=mission,
        data=msgspec.Raw(b'{"text":"x"}'),
    )


class Kept:
    """A history of what a log had up to ``end``; ``grows`` is called before each look."""

    def __init__(self, events: list[Event], end: int) -> None:
        self.events, self.end = events, end
        self.damaged_at = 0
        self.looks = 0
        self.log: MemoryLog | None = None
        self.grows_to = end

    async def read(self, wanted: Slice, after: int) -> AsyncGenerator[Batch]:
        self.looks += 1
        if self.looks > 1:
            self.end = max(self.end, self.grows_to)
        for begin in range(after + 1, self.end + 1, 3):
            last = min(begin + 2, self.end)
            if begin <= self.damaged_at <= last:
                raise StigmergyError("a file is missing")
            yield Batch(tuple(e for e in self.events if begin <= e.sequence <= last), last)

    async def count(self, wanted: Slice, after: int) -> tuple[int, int]:
        found = [e for e in self.events if after < e.sequence <= self.end and wanted.holds(e)]
        return len(found), max(after, self.end)


async def filled(many: int, frames: bool = False) -> tuple[MemoryLog, list[Event]]:
    log = MemoryLog()
    for number in range(many):
        of = (event(), event()) if frames and number % 2 else (event(),)
        await log.write([Write(of)])
    return log, [e async for e in log.read(Window())]


async def read(source: JoinedSource, after: int = 0) -> list[tuple[int, int]]:
    return [(e.sequence, e.index) async for e in source.events(follow=False, after=after)]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    many=st.integers(0, 12),
    archived=st.integers(0, 12),
    forgotten=st.integers(0, 12),
    grown=st.integers(0, 12),
    after=st.integers(0, 12),
    frames=st.booleans(),
)
def test_what_is_anywhere_is_read_once_and_in_order(
    many: int, archived: int, forgotten: int, grown: int, after: int, frames: bool
) -> None:
    async def check() -> None:
        log, everything = await filled(many, frames)
        history = Kept(everything, min(archived, many))
        history.grows_to = min(max(archived, grown), many)
        log.forget(forgotten)
        wanted = [(e.sequence, e.index) for e in everything if e.sequence > after]
        begin = max(after, history.end)  # the next one that the log must have
        if begin < min(forgotten, many) and history.grows_to < min(forgotten, many):
            with pytest.raises(EventsLost):
                await read(JoinedSource(log, history, ALL), after)
        else:
            assert await read(JoinedSource(log, history, ALL), after) == wanted
            if not after:
                assert await JoinedSource(log, history, ALL).count() == len(wanted)

    asyncio.run(check())


async def test_what_the_log_forgets_while_it_is_read_is_had_from_the_archive() -> None:
    log, everything = await filled(3000)
    history = Kept(everything, 0)
    history.grows_to = 3000
    source = JoinedSource(log, history, ALL)
    seen: list[int] = []
    async with aclosing(source.batches(follow=False)) as batches:
        async for batch in batches:
            seen += [e.sequence for e in batch.events]
            if len(seen) == 1000:
                log.forget(2500)
    assert seen == list(range(1, 3001))


async def test_it_goes_on_at_the_live_end() -> None:
    log, everything = await filled(5)
    source = JoinedSource(log, Kept(everything, 3), ALL)
    seen: list[int] = []
    async with asyncio.timeout(10), aclosing(source.events(follow=True)) as events:
        async for each in events:
            seen.append(each.sequence)
            if each.sequence == 5:
                await log.append([event()])
            if each.sequence == 6:
                break
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_without_an_archive_what_is_gone_is_told_and_the_rest_is_read() -> None:
    log, _ = await filled(6)
    log.forget(4)
    said: list[str] = []
    assert await read(JoinedSource(log, None, ALL, said.append)) == [(5, 0), (6, 0)]
    assert said == ["the log no longer has the sequences 1 to 4, and there is no archive"]


async def test_a_damaged_archive_does_not_matter_while_the_log_has_it() -> None:
    log, everything = await filled(9)
    history = Kept(everything, 9)
    history.damaged_at = 5
    said: list[str] = []
    assert await read(JoinedSource(log, history, ALL, said.append)) == [(n, 0) for n in range(1, 10)]
    assert said == ["a file is missing; what follows is read from the log"]
    log.forget(7)
    with pytest.raises(StigmergyError, match="a file is missing"):
        await read(JoinedSource(log, history, ALL))


async def test_what_is_too_old_to_be_wanted_is_not_missed() -> None:
    log, everything = await filled(6)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    log._messages = [replace(stored, at=long_ago) for stored in log._messages]
    log.forget(4)
    since = datetime.now(UTC)
    await log.append([event()])
    source = JoinedSource(log, Kept(everything, 1), Slice("acme", since=since))
    assert await read(source) == [(7, 0)]


async def test_a_slice_is_of_one_tenant_and_finds_framed_and_keyed_events_by_their_names() -> None:
    log = MemoryLog()
    started = msgspec.structs.replace(
        event("attempt.started"), data=msgspec.Raw(b'{"task":"a.b","attempt":2,"worker":"w","agent":"g"}')
    )
    await log.write([Write((event("task.ready"), event("task.retried"), event("task.ready", "m1")))])
    await log.write([Write((started,), key="a@b:2"), Write((event("task.ready", "m2", "other"),))])
    await log.write([Write((event("task.ready", "m2"),))])

    async def found(subject: str) -> list[tuple[int, int]]:
        return await read(JoinedSource(log, None, slice_of(subject, "acme")))

    assert await found("events.*.*.task.ready") == [(1, 0), (1, 2), (4, 0)]
    assert await found("events.*.m1.task.>") == [(1, 0), (1, 1), (1, 2)]
    assert await found("events.acme.*.*.started") == [(2, 0)]
    assert await found("events.*.*.attempt.started.a@b:2") == [(2, 0)]
    assert await found("events.*.*.attempt.started.a@b:3") == []
    assert len(await found("events.>")) == 5


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("commands.>", InvalidInput),
        ("events.other.>", InvalidInput),
        ("events.*.*.task", InvalidInput),
        ("events.a b.>", InvalidInput),
        ("events.*.m$.>", InvalidIdentifier),
        ("events.*.*.a.b.c.d", InvalidInput),
    ],
)
def test_what_is_no_subject_of_ours_is_refused(subject: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        slice_of(subject, "acme")


async def test_a_pipeline_keeps_the_recorded_times_and_chooses() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    log = MemoryLog()
    for second in range(4):
        await log.append([event("note.posted" if second % 2 else "task.ready", at=begin + timedelta(seconds=second))])
    clock = asyncio.get_running_loop().time
    pace = Pace(clock, speed=20.0)
    pipeline = Pipeline(JoinedSource(log, None, ALL), Choice(types=("note",)), pace, follow=False)
    shown: list[tuple[int, float]] = []
    begun = clock()
    async for batch in pipeline.batches():
        shown += [(each.sequence, clock() - begun) for each in batch]
    assert [sequence for sequence, _ in shown] == [2, 4]
    assert shown[1][1] - shown[0][1] >= 0.09  # two recorded seconds, twenty times as fast
    assert (pipeline.read, pipeline.passed, pipeline.reached) == (4, 2, 4)


def test_types_that_are_names_are_chosen_where_they_are_kept() -> None:
    wanted, rest = narrowed(ALL, Choice(types=("task", "world.violated"), tasks=("a",)))
    assert wanted.types == ("task.*", "world.violated")
    assert wanted.filters == ("events.acme.*.task.>", "events.acme.*.world.>")
    assert rest == Choice(tasks=("a",))
    for unclear in (("t*",), ("*.ready",), ("task.re*",)):
        assert narrowed(ALL, Choice(types=unclear)) == (ALL, Choice(types=unclear))
    assert wanted.holds(event("task.ready"))
    assert wanted.holds(event("world.violated"))
    assert not wanted.holds(event("world.confirmed"))


async def test_a_mission_that_is_whole_does_not_mind_what_is_lost_of_others() -> None:
    log, everything = await filled(6)
    log.forget(4)
    later = [event("mission.submitted", "m2"), event("task.ready", "m2")]
    await log.append(later)
    history = Kept(everything, 2)
    source = MissionSource(log, history, "acme", "m2")
    assert [each.id async for each in source.events(follow=False)] == [each.id for each in later]
    for mission in ("m1", "nobody"):
        with pytest.raises(EventsLost, match="sequences 3 to 4"):
            await read(MissionSource(log, history, "acme", mission))
    with pytest.raises(EventsLost):
        await read(JoinedSource(log, history, ALL))
