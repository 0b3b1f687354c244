"""The stream forgets what is archived, proved and needed by nobody; nothing else, and no guard is weakened by it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.jetstream.keeping import EventsStream, StreamSize
from events.port import Ack, Guard, Subscription, Window, Write
from orchestrator.desks import Desks
from orchestrator.recording import Recorder
from orchestrator.service import MissionRules
from schemas.errors import Conflict, InvalidInput, LogUnavailable
from schemas.subjects import guard_filter, of_event
from stigmergy.missions import list_missions, read_mission
from tests.integration.archive_bench import QUICK, archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

from projections.archive.checking import verify  # noqa: E402
from projections.archive.commits import manifest  # noqa: E402
from projections.archive.following import ArchiveRole  # noqa: E402
from projections.archive.places import FolderPlace  # noqa: E402
from projections.archive.projection import ArchiveProjection  # noqa: E402
from projections.archive.repairing import repair  # noqa: E402
from projections.archive.retention import Outcome, Policy, Retention, forget, marks  # noqa: E402

SUBMITTED = b'{"objective":"o","workflow":"hello","inputs":{},"labels":{},"submitted_by":"test"}'
FAILED = b'{"failure":{"code":"permanent","message":"no"}}'
ALL = Policy(max_age=timedelta(0))
"""Wants everything but the newest message gone."""


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


def keeper(
    log: JetStreamLog, place: FolderPlace, nats: Client, policy: Policy = ALL, needed: Mapping[str, int] | None = None
) -> Retention:
    async def needs() -> Mapping[str, int]:
        return needed or {}

    return Retention(log, place, EventsStream(nats), policy, needs, grace=timedelta(0))


async def mission(log: JetStreamLog, name: str, *ends: str) -> None:
    """A submission, some work, and what is given of its end."""
    await log.append([fact("mission.submitted", mission=name, data=SUBMITTED)])
    await log.append([fact("task.ready", mission=name) for _ in range(3)])
    for end in ends:
        await log.append([fact(f"mission.{end}", mission=name, data=b'{"reason":"r","result":{}}')])


async def test_what_is_archived_and_needed_by_nobody_goes(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await mission(log, "m1", "completed")
    await log.append([fact()])
    before = await logged(log)
    outcome = await keeper(log, place, nats).once()
    assert (outcome.dropped, outcome.held_by) == (0, "the archive")
    await archive(log, place)
    outcome = await keeper(log, place, nats).once()
    assert (outcome.first, outcome.dropped, outcome.held_by) == (4, 3, "")
    assert (await log.oldest())[0] == 4
    assert archived(place) == before
    await log.append([fact()])
    await archive(log, place)  # goes on behind it
    assert archived(place) == [*before, (await logged(log))[-1]]
    report = await verify(place, log)
    assert (report.sound, report.compared_from) == (True, 4)


async def test_the_policy_by_bytes(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await log.write([Write((fact(data=b'{"x":"' + os.urandom(500).hex().encode() + b'"}'),)) for _ in range(200)])
    await archive(log, place)
    stream = EventsStream(nats)
    half = (await stream.size()).bytes // 2
    await keeper(log, place, nats, Policy(max_bytes=half)).once()
    size = await stream.size()
    assert half * 0.9 <= size.bytes <= half * 1.02
    assert (await keeper(log, place, nats, Policy(max_bytes=half * 2)).once()).dropped == 0
    assert Policy().keeps_all


async def test_an_open_mission_holds_all_behind_its_first_event(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    await mission(log, "old", "completed")
    await mission(log, "open")
    await mission(log, "again", "failed", "reopened")
    await mission(log, "done", "cancelled")
    await log.append([fact()])
    await archive(log, place)
    outcome = await keeper(log, place, nats).once()
    assert (outcome.first, outcome.held_by) == (4, "the mission open")
    await log.append([fact("mission.failed", mission="open", data=FAILED)])
    await log.append([fact()])
    await archive(log, place)
    outcome = await keeper(log, place, nats).once()
    assert (outcome.first, outcome.held_by) == (6, "the mission again")
    desks = Desks(log, MissionRules(), Recorder(log, "/test", lambda: datetime.now(UTC)), lambda: datetime.now(UTC))
    await desks.load_open()
    assert [(desk.mission, desk.first) for desk in desks.all()] == [("again", 6)]


async def test_a_stop_in_force_holds_its_record(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    """A manager that starts reads from the stream what is stopped."""
    await log.append([fact("reflex.stopped", mission="_", data=b'{"stop":"s1"}')])
    await log.append([fact("reflex.stopped", mission="_", data=b'{"stop":"s2"}')])
    await log.append([fact("reflex.resumed", mission="_", data=b'{"lifts":["s1"]}')])
    await log.append([fact()])
    await archive(log, place)
    outcome = await keeper(log, place, nats).once()
    assert (outcome.first, outcome.held_by) == (2, "the stop s2")
    await log.append([fact("reflex.resumed", mission="_", data=b'{"lifts":["s2"]}')])
    await log.append([fact()])
    await archive(log, place)
    assert (await keeper(log, place, nats).once()).held_by == ""


async def test_what_is_young_stays(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await mission(log, "m1", "completed")
    await archive(log, place)

    async def nobody() -> Mapping[str, int]:
        return {}

    outcome = await Retention(log, place, EventsStream(nats), ALL, nobody).once()
    assert (outcome.dropped, outcome.first, "grace" in outcome.held_by) == (0, 1, True)


async def test_read_models_hold_and_those_that_are_away_by_their_last_word(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    await log.write([Write((fact(),)) for _ in range(10)])
    await archive(log, place)
    outcome = await keeper(log, place, nats, needed={"world": 5, "analytics": 8}).once()
    assert (outcome.first, outcome.held_by) == (5, "the read model world")
    outcome = await keeper(log, place, nats, needed={"world": 10}).once()
    assert (outcome.first, outcome.held_by) == (8, "the read model analytics")
    assert marks(place) == {"world": 10, "analytics": 8}
    assert forget(place, "analytics")
    assert not forget(place, "analytics")
    assert (await keeper(log, place, nats).once()).first == 10


async def test_durable_consumers_hold(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await log.write([Write((fact(),)) for _ in range(10)])
    await archive(log, place)
    async with aclosing(log.subscribe(Subscription("slow", ack_wait_s=60))) as deliveries:  # type: ignore[type-var]
        for _ in range(4):
            await (await anext(deliveries)).ack()
        async with asyncio.timeout(5):
            while (await EventsStream(nats).needed_by_consumers()) != {"slow": 5}:
                await asyncio.sleep(0.02)
        outcome = await keeper(log, place, nats).once()
        assert (outcome.first, outcome.held_by) == (5, "the consumer slow")


async def test_a_damaged_file_is_mended_before_its_events_go(
    log: JetStreamLog, place: FolderPlace, nats: Client, tmp_path: Path
) -> None:
    for _ in range(3):
        await log.write([Write((fact(),)) for _ in range(5)])
        await archive(log, place)
    before = await logged(log)
    hurt = manifest(place).chain[1].files[0].path
    (tmp_path / "archive" / hurt).write_bytes(b"PAR1 no more")
    retention = keeper(log, place, nats)
    assert (await retention.once()).first == 6  # before the damage; which is mended now
    assert (await retention.once()).first == 15
    assert archived(place) == before
    assert (await verify(place, log)).sound


async def test_damage_that_the_log_no_longer_has_is_named_and_holds(
    log: JetStreamLog, place: FolderPlace, nats: Client
) -> None:
    for _ in range(2):
        await log.write([Write((fact(),)) for _ in range(5)])
        await archive(log, place)
    assert (await keeper(log, place, nats, Policy(), {}).look()).first == 1
    await EventsStream(nats).drop_before(3)
    file = manifest(place).chain[0].files[0].path
    place.remove(file)
    assert (await keeper(log, place, nats).once()).first == 3
    done = await repair(place, log)
    assert [file in line and "begins at 3" in line for line in done.lost] == [True]


async def test_an_archive_that_would_have_a_hole_says_so(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await log.write([Write((fact(),)) for _ in range(5)])
    await archive(log, place)
    await log.write([Write((fact(),)) for _ in range(5)])
    await EventsStream(nats).drop_before(9)
    with pytest.raises(InvalidInput, match="events 6 to 8 are neither"):
        await ArchiveRole(log, place).run()
    assert "6 to 8" in (await repair(place, log)).lost[0]
    assert not (await repair(place, log, accept_loss=True)).lost
    await archive(log, place)
    found = manifest(place)
    assert (found.end, found.absent) == (10, ((6, 8),))


async def test_a_new_archive_begins_where_the_log_does(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await log.write([Write((fact(),)) for _ in range(5)])
    await EventsStream(nats).drop_before(4)
    await archive(log, place)
    found = manifest(place)
    assert (found.end, found.absent, archived(place)) == (5, ((1, 3),), await logged(log))


async def test_no_guard_is_weaker_afterwards(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    """What a late writer sees of a mission that is gone: measured on a real server."""
    await mission(log, "m1", "completed")
    claim = fact("attempt.started", mission="m1")
    subject = of_event(claim, "t:1")
    [first] = await log.write([Write((claim,), Guard(subject, 0), "t:1")])
    assert isinstance(first, Ack)
    await log.append([fact()])
    await archive(log, place)
    await keeper(log, place, nats).once()
    late = fact("mission.reopened", mission="m1")
    [refused] = await log.write([Write((late,), Guard(guard_filter("acme", "m1", "mission"), 3))])
    assert isinstance(refused, Conflict)  # who knew the mission cannot write on as if it were there
    [again] = await log.write([Write((claim,), Guard(subject, 0), "t:1")])
    assert again == Ack(first.sequence, duplicate=True)  # the same message is recognised still
    [other] = await log.write([Write((fact("attempt.started", mission="m1"),), Guard(subject, 0), "t:1")])
    assert isinstance(other, Ack)  # a fresh claim gets through: hence the grace, and only missions that have ended


async def test_half_a_mission_is_none(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    await mission(log, "m1")
    await log.append([fact("mission.failed", mission="m1", data=FAILED)])
    desks = Desks(log, MissionRules(), Recorder(log, "/test", lambda: datetime.now(UTC)), lambda: datetime.now(UTC))
    await desks.load_open()
    assert (await desks.at("acme", "m1")).first == 1
    await EventsStream(nats).drop_before(3)
    desk = await desks.at("acme", "m1")  # was at hand, and is read again
    assert (desk.first, desk.state.status.value) == (0, "new")
    with pytest.raises(InvalidInput, match="begins at 3, and what was before is archived"):
        await read_mission(log, "acme", "m1")
    assert await list_missions(log, "acme") == []


async def test_the_size_of_an_empty_stream(log: JetStreamLog, place: FolderPlace, nats: Client) -> None:
    assert (await keeper(log, place, nats).once()).dropped == 0
    await log.append([fact()])
    await EventsStream(nats).drop_before(2)
    size: StreamSize = await EventsStream(nats).size()
    assert (size.first, size.last, size.messages) == (2, 1, 0)
    assert (await keeper(log, place, nats).once()).dropped == 0
    assert [event async for event in log.read(Window())] == []


async def test_it_goes_on_after_an_error_and_is_part_of_the_role(
    log: JetStreamLog, place: FolderPlace, nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention, failing = keeper(log, place, nats), [2]
    once = retention.once

    async def sometimes() -> Outcome:
        failing[0] -= 1
        if failing[0] >= 0:
            raise LogUnavailable("the log is away")
        return await once()

    monkeypatch.setattr(retention, "once", sometimes)
    run = retention.run
    monkeypatch.setattr(retention, "run", lambda: run(every_s=0.05))
    role = ArchiveRole(log, place, QUICK)
    projection = ArchiveProjection(log, place, role, [retention])
    await log.write([Write((fact(),)) for _ in range(20)])
    running = asyncio.create_task(projection.run())
    troubles = set()
    async with asyncio.timeout(15):
        while (await log.oldest())[0] < 20:
            troubles.add(projection.trouble)
            await asyncio.sleep(0.01)
    assert "the log is away" in troubles
    assert await projection.position() == 20
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(archived(place)) == 20
