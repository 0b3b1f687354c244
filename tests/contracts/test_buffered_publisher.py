"""The buffered publisher on every log: order, back-pressure, one answer for each event, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from events.buffered import BufferedPublisher, PublishReport
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.lanes import Lanes, frame_id
from events.memory import MemoryLog
from events.port import Ack, Log, Write
from events.recent import Recent
from schemas.envelope import Event
from schemas.errors import (
    Cancelled,
    Conflict,
    InvalidEvent,
    InvalidIdentifier,
    InvalidInput,
    LogUnavailable,
    PayloadTooLarge,
    StigmergyError,
)
from stigmergy.local.ephemeral import nats_server
from tests.contracts.log_bench import event, ids, payload, read

pytestmark = pytest.mark.timeout(30)


class Slow(MemoryLog):
    """Answers when it is let; refuses what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.calls: list[Sequence[Write]] = []
        self.refuse: dict[str, StigmergyError] = {}
        self.breaks: Exception | None = None

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        self.calls.append(writes)
        await self.open.wait()
        if self.breaks is not None:
            raise self.breaks
        results: list[Ack | StigmergyError] = []
        for write in writes:
            error = next((self.refuse[each.id] for each in write.events if each.id in self.refuse), None)
            results += [error] if error is not None else await super().write([write])
        return results


async def settled(rounds: int = 20) -> None:
    """Let everything happen that does not need a clock."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class TestOnEveryLog:
    async def test_order_is_kept_in_each_noun_of_each_mission(self, log: Log) -> None:
        types = ("task.ready", "task.succeeded", "agent.joined")
        written = [event(types[n % 3], mission=f"m{n % 7}") for n in range(2000)]
        async with BufferedPublisher(log, frame_events=30) as publisher:
            for each in written:
                await publisher.publish(each)
        assert publisher.report == PublishReport(acknowledged=2000)
        assert publisher.waiting == 0
        found = await read(log)
        assert sorted(ids(found)) == sorted(ids(written))
        for mission in range(7):
            for noun in ("task", "agent"):

                def lane(events: list[Event], m: str = f"m{mission}", n: str = noun) -> list[str]:
                    return ids([each for each in events if each.mission == m and each.type.startswith(n)])

                assert lane(found) == lane(written)

    async def test_events_share_frames_and_those_of_missions_travel_alone(self, log: Log) -> None:
        written = [event() for _ in range(50)] + [event("mission.paused") for _ in range(3)]
        async with BufferedPublisher(log, frame_events=20) as publisher:
            await publisher.publish_many(written)
        assert await log.last_sequence() == 3 + 3
        assert [each.index for each in await read(log) if each.type == "mission.paused"] == [0, 0, 0]

    async def test_it_lingers_and_then_sends_by_itself(self, log: Log) -> None:
        async with BufferedPublisher(log, linger_s=0.02) as publisher:
            await publisher.publish(event())
            await publisher.publish(event())
            assert publisher.waiting == 2
            async with asyncio.timeout(5):
                while publisher.waiting:
                    await asyncio.sleep(0.005)
        assert await log.last_sequence() == 1

    async def test_flush_waits_for_what_was_taken_before(self, log: Log) -> None:
        async with BufferedPublisher(log, linger_s=None) as publisher:
            await publisher.publish_many(event() for _ in range(10))
            assert (await publisher.flush()).acknowledged == 10
            assert len(await read(log)) == 10
            assert (await publisher.flush()).acknowledged == 10

    async def test_leaving_by_an_error_flushes(self, log: Log) -> None:
        async def work() -> None:
            async with BufferedPublisher(log, linger_s=None) as publisher:
                await publisher.publish(event())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await work()
        assert len(await read(log)) == 1

    @pytest.mark.parametrize("again", [0, 7, 20])
    async def test_published_again_with_another_cut_and_more(self, log: Log, again: int) -> None:
        written = [event(mission=f"m{n % 2}") for n in range(40)]
        async with BufferedPublisher(log, frame_events=6) as publisher:
            await publisher.publish_many(written[:25])
        async with BufferedPublisher(log, frame_events=9, known=Recent(log, 600)) as publisher:
            await publisher.publish_many(written[again:])
            await publisher.publish_many(written[again:30])
        assert sorted(ids(await read(log))) == sorted(ids(written))
        assert publisher.report == PublishReport(
            acknowledged=40 - again + 30 - again, duplicates=25 - again + 30 - again
        )

    async def test_another_cut_is_never_taken_for_the_same_frame(self, log: Log) -> None:
        first, second = event(), event()
        await log.append([first])
        async with BufferedPublisher(log) as publisher:
            await publisher.publish_many([first, second])
        assert second.id in ids(await read(log))
        async with BufferedPublisher(log) as publisher:
            await publisher.publish_many([first, second])
        assert publisher.report == PublishReport(acknowledged=2, duplicates=2)
        assert len(await read(log)) == 3

    async def test_a_frame_that_is_too_large_is_halved_and_one_event_may_fail(self, log: Log) -> None:
        small = [event(data=payload(60_000)) for _ in range(40)]
        huge = msgspec.structs.replace(event(), source="/" + "x" * 1_100_000)
        failed: list[tuple[str, type[StigmergyError]]] = []
        async with BufferedPublisher(
            log, frame_bytes=10**8, on_failure=lambda e, error: failed.append((e.id, type(error)))
        ) as publisher:
            await publisher.publish_many([*small[:20], huge, *small[20:]])
        assert ids(await read(log)) == ids(small)
        assert failed == [(huge.id, PayloadTooLarge)]
        assert (publisher.report.acknowledged, publisher.report.failed) == (40, 1)
        assert [id_ for id_, _ in publisher.report.failures] == [huge.id]

    async def test_what_cannot_be_an_event_is_refused_at_once(self, log: Log) -> None:
        def check(each: Event) -> None:
            if each.subject == "no":
                raise InvalidInput("not this one")

        good = event()
        async with BufferedPublisher(log, check=check, known=Recent(log)) as publisher:
            for bad, error in (
                (event(mission="no.token"), InvalidIdentifier),
                (event("task.ready.twice"), InvalidEvent),
                (event("attempt.started"), InvalidInput),
                (msgspec.structs.replace(good, subject="no"), InvalidInput),
            ):
                with pytest.raises(error):
                    await publisher.publish(bad)
            await publisher.publish(good)
        assert publisher.report == PublishReport(acknowledged=1)
        with pytest.raises(StigmergyError, match="closed"):
            await publisher.publish(event())


class TestWaiting:
    async def test_a_full_buffer_makes_publishers_wait(self) -> None:
        log = Slow()
        async with (
            BufferedPublisher(log, linger_s=None, max_waiting=100, frame_events=1000) as publisher,
            asyncio.TaskGroup() as tasks,
        ):
            task = tasks.create_task(publisher.publish_many(event() for _ in range(1000)))
            await settled()
            assert (publisher.waiting, task.done()) == (100, False)
            log.open.set()
            await task
        assert publisher.report.acknowledged == 1000
        assert max(len(write.events) for call in log.calls for write in call) <= 100

    async def test_bytes_count_as_well(self) -> None:
        log = Slow()
        async with BufferedPublisher(log, max_bytes=10_000) as publisher, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(publisher.publish_many(event(data=payload(2000)) for _ in range(20)))
            await settled()
            assert 0 < publisher.waiting < 10
            log.open.set()
            await task
        assert publisher.report.acknowledged == 20

    async def test_one_frame_of_a_lane_is_on_its_way_at_a_time(self) -> None:
        log = Slow()
        async with BufferedPublisher(log, frame_events=2) as publisher:
            await publisher.publish_many(event(mission=f"m{n % 3}") for n in range(30))
            await settled()
            assert sorted(write.events[0].mission for call in log.calls for write in call) == ["m0", "m1", "m2"]
            log.open.set()
        assert len(await read(log)) == 30

    async def test_a_publisher_that_is_cancelled_while_it_waits_has_not_published(self) -> None:
        log = Slow()
        extra = event()
        async with BufferedPublisher(log, max_waiting=2) as publisher:
            await publisher.publish_many([event(), event()])
            task = asyncio.create_task(publisher.publish(extra))
            await settled()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            log.open.set()
        assert publisher.report.acknowledged == 2
        assert extra.id not in ids(await read(log))


class TestFailing:
    async def test_a_refused_frame_is_reported_and_the_others_arrive(self) -> None:
        log = Slow()
        log.open.set()
        written = [event() for _ in range(250)]
        log.refuse[written[15].id] = Conflict("no")
        failed: list[str] = []
        async with BufferedPublisher(log, frame_events=10, on_failure=lambda e, _: failed.append(e.id)) as publisher:
            await publisher.publish_many(written)
        assert failed == ids(written[10:20])
        assert publisher.report.acknowledged == 240
        assert [id_ for id_, _ in publisher.report.failures] == failed

    async def test_a_log_that_is_away_fails_what_waits_and_is_tried_again_later(self) -> None:
        log = Slow()
        written, later = [event(mission=f"m{n % 5}") for n in range(500)], event()
        log.refuse[written[0].id] = LogUnavailable("away")
        failed: list[str] = []
        known = Recent(MemoryLog())
        async with BufferedPublisher(
            log, frame_events=10, on_failure=lambda e, _: failed.append(e.id), known=known
        ) as publisher:
            await publisher.publish_many(written)
            log.open.set()
            report = await publisher.flush()
            assert report.acknowledged + report.failed == 500
            assert report.failed == len(failed) == len(set(failed)) > 400
            assert len(report.failures) == 100
            log.refuse.clear()
            await publisher.publish(later)
            await publisher.publish(written[0])  # it failed: it is no longer known
        found = await read(log)
        assert sorted([*ids(found), *failed]) == sorted([*ids(written), later.id, written[0].id])

    async def test_a_log_that_breaks_fails_what_it_had(self) -> None:
        log = Slow()
        log.open.set()
        log.breaks = RuntimeError("bug")
        async with BufferedPublisher(log) as publisher:
            await publisher.publish(event())
        [(_, error)] = publisher.report.failures
        assert "RuntimeError('bug')" in str(error)

    async def test_a_cancelled_block_reports_what_did_not_arrive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("events.buffered._GRACE_S", 0.05)
        log, failed = Slow(), []

        async def work() -> None:
            async with BufferedPublisher(
                log, frame_events=2, on_failure=lambda e, error: failed.append((e.id, type(error)))
            ) as publisher:
                await publisher.publish_many(written)
                await asyncio.sleep(60)

        written = [event() for _ in range(7)]
        task = asyncio.create_task(work())
        await settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(failed) == sorted((each.id, Cancelled) for each in written)
        assert await read(log) == []

    async def test_a_cancelled_block_flushes_if_the_log_answers(self, log: Log) -> None:
        async def work() -> None:
            async with BufferedPublisher(log, linger_s=None) as publisher:
                await publisher.publish_many(event() for _ in range(10))
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await read(log)) == 10


class TestKilledServer:
    @pytest.fixture
    async def server_log(self, tmp_path: Path, nats_url: str) -> AsyncIterator[tuple[JetStreamLog, asyncio.Event]]:
        """A log whose server is killed and started again, twice, beginning when the event is set."""
        del nats_url  # it skips where there is no server
        with nats_server(tmp_path) as server:
            nc = await connect(server.url, name="test")
            await ensure_streams(nc)
            log, begin = await JetStreamLog.open(nc), asyncio.Event()

            async def kill() -> None:
                await begin.wait()
                for _ in range(2):
                    await asyncio.sleep(0.15)
                    server.kill()
                    await asyncio.to_thread(server.start)

            killing = asyncio.create_task(kill())
            yield log, begin
            await killing
            await log.close()

    async def test_exactly_once_and_in_order(self, server_log: tuple[JetStreamLog, asyncio.Event]) -> None:
        log, begin = server_log
        written = [event(mission=f"m{n % 3}") for n in range(6000)]
        async with BufferedPublisher(log, frame_events=20, max_waiting=300) as publisher:
            begin.set()
            for number, each in enumerate(written):
                await publisher.publish(each)
                if number % 60 == 0:
                    await asyncio.sleep(0.005)
        assert (publisher.report.acknowledged, publisher.report.failed) == (6000, 0)
        found = await read(log)
        for mission in ("m0", "m1", "m2"):
            assert ids([each for each in found if each.mission == mission]) == ids(
                [each for each in written if each.mission == mission]
            )


def test_a_frame_is_known_by_all_its_ids() -> None:
    first, second = event(), event()
    assert frame_id((first,)) == first.id
    assert len({frame_id((first, second)), frame_id((second, first)), first.id, second.id}) == 4


def test_idle_lanes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.lanes._MANY", 10)
    lanes = Lanes(100)
    busy = lanes.of(event(mission="busy"))
    busy.busy = True
    for number in range(100):
        lanes.of(event(mission=f"m{number}"))
    assert len(lanes.known) <= 20
    assert lanes.of(event("task.failed", mission="busy")) is busy
