"""What a shared log does beyond the contract of logs: one reader, and one's own word heard at its acknowledgement."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from events.memory import MemoryLog
from events.port import Batch, Log, Stored, Window
from events.sharing import SharedLog, attend
from schemas.envelope import Event
from schemas.errors import InvalidInput, LogUnavailable
from tests.contracts.log_bench import Bench, event, ids, payload

_TASKS = "events.*.*.task.>"
_AGENTS = "events.*.*.agent.>"


class Held(MemoryLog):
    """A log whose readers hear nothing until they are let go; ``opened`` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.going = asyncio.Event()

    async def messages(self, window: Window, *, batch: int = 500, **more: Any) -> AsyncIterator[list[Stored]]:
        self.opened += 1
        async for found in super().messages(window, batch=batch, **more):
            await self.going.wait()
            yield found


async def seen(batches: AsyncGenerator[Batch], many: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < many:
        found.extend((await anext(batches)).events)
    return found


def following(log: Log, *filters: str, first: int = 1) -> Any:
    return aclosing(log.follow(Window(filters, first)))  # type: ignore[type-var]


@pytest.mark.timeout(20)
class TestSharedLog:
    async def test_ones_own_word_is_heard_before_the_reader_brings_it(self) -> None:
        behind = Held()
        log = SharedLog(behind, (_TASKS,))
        async with following(log, _TASKS) as batches:
            reading = asyncio.create_task(seen(batches, 3))
            await asyncio.sleep(0)
            written = [event(), event(), event()]
            assert await log.append(written[:2]) == 1
            assert await log.append(written[2:]) == 2
            found = await reading
            assert ids(found) == ids(written)
            assert [(each.sequence, each.index) for each in found] == [(1, 0), (1, 1), (2, 0)]
            behind.going.set()
            await behind.append(other := [event()])
            # What the reader brings late was seen already; what is new follows.
            assert ids(await seen(batches, 1)) == ids(other)

    async def test_what_is_heard_is_what_would_have_been_read(self) -> None:
        behind = Held()
        log = SharedLog(behind, (_TASKS,))
        large = event(data=payload(200_000))
        async with following(log, _TASKS) as batches:
            reading = asyncio.create_task(seen(batches, 3))
            await asyncio.sleep(0)
            await log.append([event(), event(data=b'{"a":[1,2.5,null,"\xc3\xa4"]}')])
            await log.append([large])
            assert await reading == [each async for each in behind.read(Window())]

    async def test_nothing_is_heard_across_a_gap(self) -> None:
        behind = Held()
        log = SharedLog(behind, (_TASKS,))
        async with following(log, _TASKS) as batches:
            reading = asyncio.create_task(seen(batches, 3))
            await asyncio.sleep(0)
            theirs, ours, last = event(), event(), event()
            await behind.append([theirs])
            await log.append([ours])
            await log.append([last])
            await asyncio.sleep(0.01)
            assert not reading.done()
            behind.going.set()
            assert ids(await reading) == ids([theirs, ours, last])

    async def test_what_nobody_reads_leaves_no_gap(self) -> None:
        behind = Held()
        log = SharedLog(behind, (_TASKS,))
        async with following(log, _TASKS) as batches:
            reading = asyncio.create_task(seen(batches, 2))
            await asyncio.sleep(0)
            await log.append([first := event()])
            await log.append([event("agent.joined")])
            await log.append([second := event()])
            assert ids(await reading) == ids([first, second])

    async def test_followers_share_a_reader_and_see_what_they_asked_for(self) -> None:
        behind = Held()
        behind.going.set()
        log = SharedLog(behind, (_TASKS, _AGENTS, "events.*.*.task.ready"))
        async with following(log, _TASKS) as tasks, following(log, _TASKS, _AGENTS) as both:
            reading = [asyncio.create_task(seen(tasks, 1)), asyncio.create_task(seen(both, 2))]
            await asyncio.sleep(0)
            await behind.append([task := event()])
            await behind.append([agent := event("agent.joined")])
            assert [ids(each) for each in await asyncio.gather(*reading)] == [ids([task]), ids([task, agent])]
            assert behind.opened == 1
            async with following(log, "events.*.*.mission.>") as others:
                alone = asyncio.create_task(anext(others))
                await log.append([mission := event("mission.submitted")])
                assert ids((await alone).events) == ids([mission])
        assert behind.opened == 1

    async def test_who_attends_has_heard_ones_own_word_when_it_is_acknowledged(self) -> None:
        log = SharedLog(Held(), (_TASKS, _AGENTS))
        heard: list[Batch] = []
        attending = asyncio.create_task(attend(log, Window((_TASKS,)), heard.append, pressing=(_TASKS,)))
        await asyncio.sleep(0)
        for number in range(3):
            await log.append([event()])
            assert [batch.last for batch in heard] == list(range(1, number + 2))
        await log.append([event("agent.joined")])  # nothing for it, but it knows how far it is
        while len(heard) < 4:
            await asyncio.sleep(0)
        assert (heard[-1].last, heard[-1].events) == (4, ())
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)

    async def test_what_does_not_press_comes_when_what_was_sent_meanwhile_is_under_way(self) -> None:
        said = list[str]()
        log, loop = SharedLog(Held(), (_TASKS, _AGENTS), lambda: said.append("let go")), asyncio.get_running_loop()

        def decides(batch: Batch) -> None:
            said.extend(f"decides {each.type}" for each in batch.events)
            loop.call_soon(said.append, "written")  # as a connection writes what was sent in a turn

        def learns(batch: Batch) -> None:
            said.extend(f"learns {each.type}" for each in batch.events)

        both = Window((_TASKS, _AGENTS))
        attending = [
            asyncio.create_task(attend(log, both, learns)),
            asyncio.create_task(attend(log, both, decides, pressing=(_TASKS,))),
        ]
        await asyncio.sleep(0)
        await log.append([event("agent.joined")])
        assert said == []
        await log.append([event()])
        assert said == ["decides agent.joined", "decides task.ready", "let go"]
        for _ in range(3):
            await asyncio.sleep(0)
        assert said[3:] == ["written", "learns agent.joined", "learns task.ready"]
        for each in attending:
            each.cancel()
        await asyncio.gather(*attending, return_exceptions=True)

    async def test_whoever_writes_while_it_is_handed_something_hears_of_it_afterwards(self) -> None:
        log = SharedLog(Held(), (_TASKS,))
        said = list[str]()

        def take(batch: Batch) -> None:
            for each in batch.events:
                said.append(f"begin {each.sequence}")
                if each.sequence == 1:  # a log in memory has it at once
                    asyncio.Task(log.append([event()]), loop=asyncio.get_running_loop(), eager_start=True)
                said.append(f"end {each.sequence}")

        attending = asyncio.create_task(attend(log, Window((_TASKS,)), take, pressing=(_TASKS,)))
        await asyncio.sleep(0)
        await log.append([event()])
        assert said == ["begin 1", "end 1", "begin 2", "end 2"]
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)

    async def test_who_attends_hears_what_was_there_before(self) -> None:
        behind = Held()
        behind.going.set()
        log = SharedLog(behind, (_TASKS,))
        written = [event() for _ in range(4)]
        heard: list[Event] = []
        async with following(log, _TASKS) as early:
            reading = asyncio.create_task(seen(early, 4))
            for each in written[:3]:
                await log.append([each])
            attending = asyncio.create_task(
                attend(log, Window((_TASKS,)), lambda batch: heard.extend(batch.events), pressing=(_TASKS,))
            )
            while len(heard) < 3:
                await asyncio.sleep(0.001)
            await log.append([written[3]])
            assert ids(heard) == ids(written)
            await reading
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)

    async def test_whoever_attends_and_fails_fails_alone(self) -> None:
        log = SharedLog(Held(), (_TASKS,))
        heard: list[Batch] = []

        def fails(batch: Batch) -> None:
            raise LogUnavailable("mine alone")

        attending = [
            asyncio.create_task(attend(log, Window((_TASKS,)), take, pressing=(_TASKS,)))
            for take in (fails, heard.append)
        ]
        await asyncio.sleep(0)
        await log.append([event()])
        with pytest.raises(LogUnavailable, match="mine alone"):
            await attending[0]
        await log.append([event()])
        assert [batch.last for batch in heard] == [1, 2]
        attending[1].cancel()
        await asyncio.gather(*attending, return_exceptions=True)

    async def test_who_comes_later_is_brought_level(self) -> None:
        behind = Held()
        behind.going.set()
        log = SharedLog(behind, (_TASKS,))
        written = [event() for _ in range(6)]
        async with following(log, _TASKS) as early:
            reading = asyncio.create_task(seen(early, 6))
            for each in written[:3]:
                await log.append([each])
            async with following(log, _TASKS) as late, following(log, _TASKS, first=3) as partly:
                catching_up = asyncio.create_task(seen(late, 6))
                from_three = asyncio.create_task(seen(partly, 4))
                for each in written[3:]:
                    await behind.append([each])
                assert ids(await catching_up) == ids(written)
                assert ids(await from_three) == ids(written[2:])
            assert ids(await reading) == ids(written)

    async def test_the_end_of_the_reader_is_the_end_of_all(self) -> None:
        class Ends(MemoryLog):
            async def messages(self, window: Window, *, batch: int = 500, **more: Any) -> AsyncIterator[list[Stored]]:
                async for found in super().messages(window, batch=batch, **more):
                    yield found
                    raise LogUnavailable("closed")

        log = SharedLog(Ends(), (_TASKS,))
        async with following(log, _TASKS) as one, following(log, _TASKS) as other:
            reading = [asyncio.create_task(seen(each, 9)) for each in (one, other)]
            await asyncio.sleep(0)
            await log.append([event()])
            results = await asyncio.gather(*reading, return_exceptions=True)
            assert [type(each) for each in results] == [LogUnavailable, LogUnavailable]

    @pytest.mark.parametrize("seed", range(8))
    async def test_every_follower_sees_the_order_of_the_log(self, bench: Bench, seed: int) -> None:
        """Several writers at once, one of them in another process; large payloads, frames, bytes that are no event."""
        log, chance = SharedLog(bench.log, (_TASKS, _AGENTS)), random.Random(seed)

        async def write(many: int) -> None:
            for _ in range(many):
                target: Log = chance.choice([log, bench.log])
                kind = chance.choice(["task.ready", "agent.joined", "note.added"])
                size = chance.choice([20, 20, 70_000])
                await target.append([event(kind, data=payload(size)) for _ in range(chance.randint(1, 3))])
                if chance.random() < 0.1:
                    await bench.publish("events.acme.m1.task.ready", b"no event")

        async with following(log, _TASKS) as tasks, following(log, _AGENTS, _TASKS) as both:
            views: tuple[list[Event], ...] = ([], [])
            readers = [
                asyncio.create_task(collect(batches, view)) for batches, view in zip((tasks, both), views, strict=True)
            ]
            await asyncio.gather(*(write(20) for _ in range(4)))
            await log.append([last := event()])
            for view in views:
                while not view or view[-1].id != last.id:
                    await asyncio.sleep(0.01)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        for view, filters in zip(views, ((_TASKS,), (_AGENTS, _TASKS)), strict=True):
            assert view == [each async for each in bench.log.read(Window(filters))]


async def collect(batches: AsyncIterator[Batch], view: list[Event]) -> None:
    async for batch in batches:
        assert all(each.sequence <= batch.last for each in batch.events)
        view.extend(batch.events)


@pytest.mark.parametrize(
    "filters", [("events.*.*.task.ready", "events.acme.*.task.*"), ("events.a.*.task.>", "events.*.m.task.>")]
)
def test_filters_that_overlap_are_refused(filters: Sequence[str]) -> None:
    with pytest.raises(InvalidInput, match="overlap"):
        SharedLog(MemoryLog(), filters)
