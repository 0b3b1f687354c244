"""What every log keeps to, in memory or on JetStream: writing and reading."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from events import codec
from events.blobs.port import digest_of
from events.codec import INLINE_LIMIT
from events.port import Ack, Batch, Guard, Log, Stored, Window, Write
from schemas.errors import Conflict, InvalidEvent, InvalidIdentifier, PayloadTooLarge, UnknownType
from schemas.subjects import guard_filter, mission_filter, noun_filter, of_event
from tests.contracts.log_bench import (
    MISSION,
    TENANT,
    Bench,
    event,
    follow,
    ids,
    letters,
    payload,
    read,
)


@pytest.mark.timeout(20)
class TestWriting:
    async def test_an_empty_log_has_sequence_zero_and_nothing_to_read(self, log: Log) -> None:
        assert await log.last_sequence() == 0
        assert await log.oldest() == (1, None)
        assert await read(log) == []
        assert await letters(log) == []

    async def test_what_was_appended_is_read_as_it_was(self, log: Log) -> None:
        written = event(data=b'{"skill":"code","text":"\xc3\xa4 \xe2\x9c\x93"}')
        assert await log.append([written]) == 1
        [found] = await read(log)
        assert found == msgspec.structs.replace(written, sequence=1, index=0)
        assert found.data_as_dict() == {"skill": "code", "text": "ä ✓"}
        assert ((await log.oldest())[0], await log.last_sequence()) == (1, 1)

    async def test_events_of_one_noun_share_a_message_and_are_read_singly(self, log: Log) -> None:
        written = [event("task.ready"), event("task.succeeded"), event("task.ready"), event("agent.joined")]
        assert await log.append(written) == 2
        found = await read(log)
        assert ids(found) == ids(written)
        assert [(each.sequence, each.index) for each in found] == [(1, 0), (1, 1), (1, 2), (2, 0)]

    async def test_the_oldest_message_and_when_it_came(self, log: Log) -> None:
        before = datetime.now(UTC) - timedelta(seconds=5)
        await log.append([event(), event("agent.joined")])
        oldest, stored = await log.oldest()
        assert oldest == 1
        assert stored is not None
        assert before < stored < datetime.now(UTC) + timedelta(seconds=5)

    async def test_no_events_are_no_message(self, log: Log) -> None:
        assert await log.append([]) == 0
        assert await log.append([], guard=Guard(guard_filter(TENANT, MISSION, "task"), 7)) == 7
        assert await log.last_sequence() == 0

    async def test_a_guard_lets_one_chain_through(self, log: Log) -> None:
        pattern = guard_filter(TENANT, MISSION, "task")
        first = await log.append([event()], guard=Guard(pattern, 0))
        await log.append([event("agent.joined")])  # another noun does not disturb
        second = await log.append([event(), event()], guard=Guard(pattern, first))
        with pytest.raises(Conflict):
            await log.append([event()], guard=Guard(pattern, first))
        assert (first, second, await log.last_sequence()) == (1, 3, 3)

    async def test_the_newest_message_of_a_subject_counts_even_if_nobody_can_read_it(self, bench: Bench) -> None:
        pattern = guard_filter(TENANT, MISSION, "task")
        assert await bench.log.newest(pattern) == 0
        await bench.log.append([event(), event("agent.joined")])
        assert await bench.log.newest(pattern) == 1
        await bench.publish(f"events.{TENANT}.{MISSION}.task.started", b"no event")
        assert await bench.log.newest(pattern) == 3

    async def test_a_guarded_append_of_many_frames_chains_them(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codec, "FRAME_EVENTS", 2)
        pattern = guard_filter(TENANT, MISSION, "task")
        assert await log.append([event() for _ in range(5)], guard=Guard(pattern, 0)) == 3
        with pytest.raises(Conflict):
            await log.append([event() for _ in range(5)], guard=Guard(pattern, 2))
        assert await log.last_sequence() == 3

    async def test_a_keyed_event_is_written_once(self, log: Log) -> None:
        claim, rival = event("attempt.started"), event("attempt.started")
        subject = of_event(claim, "fix:1")
        [won] = await log.write([Write((claim,), Guard(subject, 0), "fix:1")])
        [lost] = await log.write([Write((rival,), Guard(subject, 0), "fix:1")])
        [other] = await log.write([Write((event("attempt.started"),), Guard(of_event(rival, "fix:2"), 0), "fix:2")])
        assert (won, other) == (Ack(1), Ack(2))
        assert isinstance(lost, Conflict)
        assert subject in str(lost)

    async def test_a_repetition_is_acknowledged_and_stored_once(self, log: Log) -> None:
        written = event()
        write = Write((written,), Guard(of_event(written, "a"), 0), "a")
        assert await log.write([write]) == [Ack(1)]
        assert await log.write([write]) == [Ack(1, duplicate=True)]
        assert await log.append([event()]) == 2
        assert len(await read(log)) == 2

    async def test_one_of_ten_rivals_wins(self, log: Log) -> None:
        async def claim() -> Ack | Exception:
            mine = event("attempt.started")
            [result] = await log.write([Write((mine,), Guard(of_event(mine, "fix:1"), 0), "fix:1")])
            return result

        results = await asyncio.gather(*(claim() for _ in range(10)))
        assert len([each for each in results if isinstance(each, Ack)]) == 1
        assert len([each for each in results if isinstance(each, Conflict)]) == 9
        assert len(await read(log)) == 1

    async def test_each_message_of_a_pipeline_has_its_own_result(self, log: Log) -> None:
        pattern = guard_filter(TENANT, MISSION, "task")
        twice = event("agent.joined")
        results = await log.write(
            [
                Write((event(),), Guard(pattern, 0)),
                Write((event(),), Guard(pattern, 99)),
                Write((twice,)),
                Write((twice,)),
                Write((event(mission="no.token"),)),
                Write((event(), event("agent.joined"))),
                Write(()),
                Write((event(), event()), Guard(pattern, 1)),
            ]
        )
        assert [results[at] for at in (0, 2, 3, 7)] == [Ack(1), Ack(2), Ack(2, duplicate=True), Ack(3)]
        kinds = [type(results[at]) for at in (1, 4, 5, 6)]
        assert kinds == [Conflict, InvalidIdentifier, InvalidEvent, InvalidEvent]
        assert await log.last_sequence() == 3

    async def test_a_long_pipeline_keeps_its_order(self, log: Log) -> None:
        written = [event() for _ in range(2500)]
        results = await log.write([Write((each,)) for each in written])
        assert results == [Ack(number) for number in range(1, 2501)]
        assert ids(await read(log)) == ids(written)

    async def test_a_large_payload_takes_the_way_of_the_blob_store(self, bench: Bench) -> None:
        data = payload(INLINE_LIMIT + 1)
        await bench.log.append([event(data=data), event(data=b'{"small":1}')])
        assert await bench.message_sizes() < 2000
        large, small = await read(bench.log)
        assert bytes(large.data) == data
        assert large.dataref is None
        assert small.data_as_dict() == {"small": 1}

    async def test_a_payload_at_the_limit_stays_inline(self, bench: Bench) -> None:
        await bench.log.append([event(data=payload(INLINE_LIMIT))])
        assert not await bench.log.blobs.has(digest_of(payload(INLINE_LIMIT)))
        [found] = await read(bench.log)
        assert bytes(found.data) == payload(INLINE_LIMIT)

    async def test_what_is_too_large_says_so(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = tuple(event(data=payload(60_000)) for _ in range(20))
        [refused] = await log.write([Write(frame)])
        assert isinstance(refused, PayloadTooLarge)
        assert "1,2" in str(refused)
        monkeypatch.setattr(codec, "PAYLOAD_LIMIT", 100_000)
        with pytest.raises(PayloadTooLarge, match=r"task\.ready has 100,001 bytes; the limit is 100,000") as caught:
            await log.append([event(data=payload(100_001))])
        assert caught.value.hint
        assert await log.append([event()]) == 1


@pytest.mark.timeout(20)
class TestReading:
    async def test_a_follower_begins_anywhere_and_waits(self, log: Log) -> None:
        old = [event() for _ in range(3)]
        await log.write([Write((each,)) for each in old])
        following = asyncio.create_task(follow(log, Window(first=2), 4))
        await asyncio.sleep(0.05)
        new = [event(), event()]
        await log.write([Write((each,)) for each in new])
        assert ids(await following) == ids(old[1:] + new)

    async def test_a_follower_may_begin_after_the_end(self, log: Log) -> None:
        await log.append([event()])
        following = asyncio.create_task(follow(log, Window(first=2), 1))
        await asyncio.sleep(0.05)
        new = event()
        await log.append([new])
        assert ids(await following) == [new.id]

    async def test_batches_say_where_they_end(self, log: Log) -> None:
        await log.append([event(), event()])
        await log.append([event()])
        batches: list[Batch] = []
        async with aclosing(log.follow(Window(), batch=1)) as found:  # type: ignore[type-var]
            async for each in found:
                batches.append(each)
                if each.last == 2:
                    break
        assert sum(len(each.events) for each in batches) == 3
        assert all(each.events[-1].sequence == each.last for each in batches)

    async def test_messages_come_as_they_are_stored_and_can_be_buried_once(self, bench: Bench) -> None:
        log = bench.log
        await log.append([event(), event()])
        await bench.publish("events.acme.m1.note.posted", b"no event")
        await log.append([event()])
        found: list[Stored] = []
        async with aclosing(log.messages(Window(first=1), batch=2)) as messages:  # type: ignore[type-var]
            while len(found) < 3:
                found += await anext(messages)
        assert [each.sequence for each in found] == [1, 2, 3]
        assert [len(codec.decode(each.raw, each.subject, each.sequence)) for each in (found[0], found[2])] == [2, 1]
        for _ in range(2):
            await log.bury(found[1], InvalidEvent("it is no event"))
        [letter] = await letters(log)
        assert (letter.subject, letter.raw) == ("events.acme.m1.note.posted", b"no event")
        assert (letter.original_sequence, letter.code, letter.reason) == (2, "invalid_event", "it is no event")

    async def test_a_small_batch_delivers_everything_in_order(self, log: Log) -> None:
        written = [event() for _ in range(300)]
        await log.write([Write((each,)) for each in written])
        assert ids(await follow(log, Window(), 300, batch=7)) == ids(written)

    async def test_several_filters_are_one_stream(self, log: Log) -> None:
        written = [
            event("task.ready"),
            event("agent.joined"),
            event("attempt.started"),
            event("task.ready", mission="m2"),
        ]
        await log.write([Write((each,)) for each in written])
        window = Window((noun_filter("task", mission=MISSION), noun_filter("attempt")))
        assert ids(await follow(log, window, 2)) == [written[0].id, written[2].id]
        assert ids(await read(log, window)) == [written[0].id, written[2].id]
        assert ids(await read(log, Window((mission_filter(TENANT, "m2"),)))) == [written[3].id]

    async def test_a_range_is_inclusive_at_both_ends(self, log: Log) -> None:
        written = [event() for _ in range(6)]
        await log.write([Write((each,)) for each in written])
        assert ids(await read(log, Window(first=2, last=4))) == ids(written[1:4])
        assert ids(await read(log, Window(first=5, last=99))) == ids(written[4:])
        assert ids(await read(log, Window(last=1))) == ids(written[:1])

    async def test_since_is_the_time_of_the_log(self, log: Log) -> None:
        await log.append([event()])
        await asyncio.sleep(0.02)
        since = datetime.now(UTC)
        await asyncio.sleep(0.02)
        late = [event(), event("agent.joined")]
        await log.append(late)
        assert ids(await read(log, Window(since=since))) == ids(late)
        assert ids(await read(log, Window(first=3, since=since))) == [late[1].id]
        assert ids(await follow(log, Window(since=since), 2)) == ids(late)

    async def test_an_empty_window_ends_at_once(self, log: Log) -> None:
        await log.append([event()])
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        empty = [
            Window((noun_filter("agent"),)),
            Window(first=2),
            Window(first=9, last=12),
            Window(first=1, last=0),
            Window(since=tomorrow),
        ]
        async with asyncio.timeout(1):
            for window in empty:
                assert await read(log, window) == []

    async def test_a_filtered_window_ends_though_others_follow(self, log: Log) -> None:
        first = event("agent.joined")
        await log.append([first, event(), event("agent.joined")])
        async with asyncio.timeout(1):
            assert ids(await read(log, Window((noun_filter("agent"),), last=2))) == [first.id]

    async def test_the_end_is_where_it_was_when_reading_began(self, log: Log) -> None:
        await log.write([Write((event(),)) for _ in range(3)])
        seen = 0
        async for _ in log.read(Window()):
            await log.append([event()])
            seen += 1
        assert seen == 3

    async def test_missions_are_counted_without_reading(self, log: Log) -> None:
        await log.append([event("mission.submitted", mission="m1"), event("mission.submitted", mission="m2")])
        await log.append([event("mission.completed", mission="m2"), event("task.ready", mission="m3")])
        await log.append([event("mission.paused", mission="m2"), event("mission.paused", mission="m2")])
        assert await log.missions(["mission.submitted", "mission.completed", "mission.paused"]) == {
            (TENANT, "m1"): {"mission.submitted": 1},
            (TENANT, "m2"): {"mission.submitted": 1, "mission.completed": 1, "mission.paused": 2},
        }
        assert await log.missions(["mission.failed"]) == {}
        with pytest.raises(UnknownType):
            await log.missions(["mission.dreamt"])
