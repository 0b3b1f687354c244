"""What every log keeps to: durable subscriptions, and messages nobody can handle."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from events.codec import encode
from events.port import Log, Window, Write
from schemas.errors import InvalidInput
from schemas.subjects import noun_filter
from tests.contracts.log_bench import (
    MISSION,
    TENANT,
    Bench,
    event,
    follow,
    ids,
    letters,
    read,
    subscribe,
    take,
)


@pytest.mark.timeout(20)
class TestSubscribing:
    async def test_two_subscribers_share_the_work(self, log: Log) -> None:
        written = [event() for _ in range(20)]
        await log.write([Write((each,)) for each in written])
        seen: list[tuple[str, str]] = []
        done = asyncio.Event()

        async def work(who: str) -> None:
            async with subscribe(log, "pool", batch=2) as deliveries:
                async for delivery in deliveries:
                    seen.extend((who, each.id) for each in delivery.events)
                    await delivery.ack()
                    await asyncio.sleep(0.002)
                    if len(seen) >= 20:
                        done.set()

        workers = [asyncio.create_task(work(who)) for who in "ab"]
        await done.wait()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert sorted(id_ for _, id_ in seen) == sorted(ids(written))
        assert {who for who, _ in seen} == {"a", "b"}

    async def test_a_frame_is_one_delivery(self, log: Log) -> None:
        written = [event(), event()]
        await log.append(written)
        async with subscribe(log, "frames") as deliveries:
            delivery = await take(deliveries)
            assert ids(delivery.events) == ids(written)
            assert delivery.attempts == 1
            await delivery.ack()

    async def test_what_was_acknowledged_does_not_come_again(self, log: Log) -> None:
        written = [event() for _ in range(3)]
        await log.write([Write((each,)) for each in written])
        async with subscribe(log, "durable") as deliveries:
            for _ in range(2):
                await (await take(deliveries)).ack()
        async with subscribe(log, "durable") as deliveries:
            delivery = await take(deliveries)
            assert ids(delivery.events) == [written[2].id]
            await delivery.ack()

    async def test_a_subscription_may_begin_with_what_is_new(self, log: Log) -> None:
        await log.append([event()])
        async with subscribe(log, "news", start_new=True) as deliveries:
            first = asyncio.ensure_future(take(deliveries))
            await asyncio.sleep(0.1)
            new = event()
            await log.append([new])
            delivery = await first
            assert ids(delivery.events) == [new.id]
            await delivery.ack()

    async def test_filters_choose(self, log: Log) -> None:
        wanted = event("agent.joined")
        await log.append([event(), wanted])
        async with subscribe(log, "agents", filters=(noun_filter("agent"),)) as deliveries:
            delivery = await take(deliveries)
            assert ids(delivery.events) == [wanted.id]
            await delivery.ack()

    async def test_a_retry_comes_again_after_its_delay(self, log: Log) -> None:
        await log.append([event()])
        loop = asyncio.get_running_loop()
        async with subscribe(log, "again") as deliveries:
            await (await take(deliveries)).retry()
            second = await take(deliveries)
            began = loop.time()
            await second.retry(0.2)
            assert loop.time() - began < 0.15  # it is the delivery that is late, not its giver
            third = await take(deliveries)
            assert loop.time() - began >= 0.15
            assert (second.attempts, third.attempts) == (2, 3)
            await third.ack()
        assert await letters(log) == []

    async def test_only_the_first_answer_counts(self, log: Log) -> None:
        await log.append([event()])
        async with subscribe(log, "once") as deliveries:
            delivery = await take(deliveries)
            await delivery.ack()
            await delivery.retry()
            await delivery.ack()
            new = event()
            await log.append([new])
            after = await take(deliveries)
            assert ids(after.events) == [new.id]
            await after.ack()

    async def test_a_rejected_message_is_a_dead_letter(self, log: Log) -> None:
        await log.append([event(), event("agent.joined")])
        async with subscribe(log, "picky") as deliveries:
            await (await take(deliveries)).reject(InvalidInput("nö: no such tool\nat all, 100 %"))
            await (await take(deliveries)).ack()
        [letter] = await letters(log)
        assert letter.reason == "nö: no such tool\nat all, 100 %"
        assert (letter.code, letter.consumer, letter.original_sequence) == ("invalid_input", "picky", 1)
        assert letter.subject == f"events.{TENANT}.{MISSION}.task.ready"

    async def test_what_fails_too_often_is_a_dead_letter(self, log: Log) -> None:
        await log.append([event()])
        async with subscribe(log, "unlucky", max_deliver=3) as deliveries:
            for attempt in (1, 2, 3):
                delivery = await take(deliveries)
                assert delivery.attempts == attempt
                await delivery.retry()
            following = asyncio.ensure_future(take(deliveries))
            while not (found := await letters(log)):
                await asyncio.sleep(0.01)
            assert not following.done()
            after = event()
            await log.append([after])
            delivery = await following
            assert ids(delivery.events) == [after.id]
            await delivery.ack()
        assert [(letter.code, letter.original_sequence) for letter in found] == [("limit_exceeded", 1)]
        assert "3 times" in found[0].reason

    async def test_a_subscriber_that_leaves_gives_back_what_it_held(self, log: Log) -> None:
        written = [event(), event("agent.joined")]
        await log.append(written)
        async with subscribe(log, "relay", ack_wait_s=10) as deliveries:
            await take(deliveries)
        async with asyncio.timeout(2), subscribe(log, "relay", ack_wait_s=10) as deliveries:
            found = [await take(deliveries), await take(deliveries)]
            for delivery in found:
                await delivery.ack()
        assert sorted(each.events[0].id for each in found) == sorted(ids(written))
        assert max(each.attempts for each in found) == 2


MALFORMED = {
    "no JSON": ("events.acme.m1.task.ready", b"\xff\x00nonsense"),
    "nothing": ("events.acme.m1.task.ready", b""),
    "no event": ("events.acme.m1.task.ready", b'{"a":1}'),
    "a list of something": ("events.acme.m1.task._", b"[1,2]"),
    "an empty frame": ("events.acme.m1.task._", b"[]"),
    "another specification": (
        "events.acme.m1.task.ready",
        encode([msgspec.structs.replace(event(), specversion="0.3")])[0],
    ),
    "another tenant": ("events.evil.m1.task.ready", encode([event()])[0]),
    "another mission": ("events.acme.m2.task.ready", encode([event()])[0]),
    "another type": ("events.acme.m1.agent.joined", encode([event("mission.completed")])[0]),
    "another noun in a frame": ("events.acme.m1.task._", encode([event(), event("mission.completed")])[0]),
    "a strange subject": ("events.wörld", b"hello"),
    "a lost payload": (
        "events.acme.m1.task.ready",
        encode([msgspec.structs.replace(event(), dataref="sha256:" + "0" * 64)])[0],
    ),
}


@pytest.mark.timeout(20)
class TestWhatOthersPutOnTheBus:
    @pytest.mark.parametrize("kind", MALFORMED)
    async def test_readers_pass_over_it_and_keep_it(self, bench: Bench, kind: str) -> None:
        subject, raw = MALFORMED[kind]
        before, after = event(), event()
        await bench.log.append([before])
        await bench.publish(subject, raw)
        await bench.log.append([after])
        assert ids(await read(bench.log)) == [before.id, after.id]
        assert ids(await follow(bench.log, Window(), 2)) == [before.id, after.id]
        [letter] = await letters(bench.log)
        assert (letter.subject, letter.raw, letter.original_sequence) == (subject, raw, 2)
        assert letter.reason
        assert letter.code in {"invalid_event", "blob_missing"}

    async def test_a_subscription_passes_over_it_and_keeps_it(self, bench: Bench) -> None:
        before, after = event(), event()
        await bench.log.append([before])
        for subject, raw in MALFORMED.values():
            await bench.publish(subject, raw)
        await bench.log.append([after])
        async with subscribe(bench.log, "calm") as deliveries:
            found = [await take(deliveries), await take(deliveries)]
            for delivery in found:
                await delivery.ack()
        assert [each.events[0].id for each in found] == [before.id, after.id]
        assert len(await letters(bench.log)) == len(MALFORMED)
        assert {letter.consumer for letter in await letters(bench.log)} == {"calm"}

    async def test_a_dead_letter_can_be_sent_again(self, bench: Bench) -> None:
        log = bench.log
        written = event()
        await log.append([written])
        async with subscribe(log, "second-chance") as deliveries:
            await (await take(deliveries)).reject(InvalidInput("not today"))
            [letter] = await letters(log)
            assert await log.retry_dead_letter(letter.sequence) == 2
            delivery = await take(deliveries)
            assert ids(delivery.events) == [written.id]
            await delivery.ack()
        assert await letters(log) == []
        with pytest.raises(InvalidInput, match="there is no dead letter"):
            await log.retry_dead_letter(letter.sequence)
