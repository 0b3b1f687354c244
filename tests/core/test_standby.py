"""Orders that go straight to a worker that has just finished, and what happens when it does not take them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from events.signals import MemorySignals
from orchestrator.task_queue import standby
from orchestrator.task_queue.dispatch import Dispatch, key_of
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.standby import StandbySender
from schemas.attempts import Action, AttemptOrder
from schemas.celery_wire import STANDBY_S
from schemas.signals import ORDERS
from workers.standby import Standby


def dispatch(task: str, queue: str = "stig.code") -> Dispatch:
    order = AttemptOrder(tenant="t", mission="m", task=task, attempt=1, skill="code", action=Action(tool="code"))
    return Dispatch(queue, 5, order)


class Queues:
    """The ordinary way, which notes what goes it. ``busy``: the queue in which something else waits."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.settled_: list[str] = []
        self.told: set[AttemptKey] = set()
        self.busy = ""
        self.closed = False

    def send(self, dispatch: Dispatch) -> None:
        self.sent.append(dispatch.order.task)

    def again(self, dispatch: Dispatch) -> None:
        self.sent.append(f"{dispatch.order.task} again")

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        self.settled_.append(attempt[2])

    def passed(self, queue: str, priority: int, count: int) -> None:
        """Of no interest."""

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        """Of no interest."""

    def quiet(self, dispatch: Dispatch, reads: Callable[[str], bool]) -> bool:
        return not reads(self.busy)

    def stands_by(self, attempt: AttemptKey) -> bool:
        return attempt in self.told

    def close(self) -> None:
        self.closed = True


class Bench:
    """A sender, the ordinary way behind it, and what workers hear. ``now`` is its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.queues = Queues()
        self.heard: list[str] = []
        self.signals = MemorySignals()
        self.sender = StandbySender(self.queues, self.signals, lambda: self.now)

    async def begin(self) -> Bench:
        await self.signals.listen(ORDERS, lambda raw: self.heard.append(AttemptOrder.model_validate_json(raw).task))
        return self

    def finished(self, task: str, *, told: bool = True, reads: str = "stig.code") -> None:
        key = key_of(dispatch(task).order)
        if told:
            self.queues.told.add(key)
        self.sender.finished(key, "w1", lambda queue: queue == reads)


@pytest.fixture
async def bench() -> Bench:
    return await Bench().begin()


async def test_a_worker_that_stands_by_gets_the_next_order_itself(bench: Bench) -> None:
    bench.finished("one")
    bench.sender.send(dispatch("two"))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two"], [])
    bench.sender.settled(key_of(dispatch("two").order))
    assert bench.queues.settled_ == ["two"]
    # It stands by again after what it was given in this way, without being told by a message.
    bench.finished("two", told=False)
    bench.sender.send(dispatch("three"))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two", "three"], [])


async def test_one_order_a_worker(bench: Bench) -> None:
    bench.finished("one")
    for task in ("two", "three"):
        bench.sender.send(dispatch(task))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two"], ["three"])


@pytest.mark.parametrize("why", ["it was not told to", "it has waited long enough", "another skill", "others wait"])
async def test_else_the_order_goes_the_ordinary_way(bench: Bench, why: str) -> None:
    bench.finished(
        "one", told=why != "it was not told to", reads="stig.test" if why == "another skill" else "stig.code"
    )
    bench.now += STANDBY_S if why == "it has waited long enough" else 0.0
    bench.queues.busy = "stig.code" if why == "others wait" else "stig.elsewhere"
    bench.sender.send(dispatch("two"))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == ([], ["two"])


async def test_what_is_not_claimed_soon_goes_the_ordinary_way_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "_CLAIMED_WITHIN_S", 0.01)
    for task in ("two", "three"):
        bench.finished("one")
        bench.sender.send(dispatch(task))
    bench.sender.settled(key_of(dispatch("three").order))
    async with asyncio.timeout(5):
        while not bench.queues.sent:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.03)
    assert (bench.heard, bench.queues.sent) == (["two", "three"], ["two"])


async def test_nothing_is_sent_after_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "_CLAIMED_WITHIN_S", 0.01)
    bench.finished("one")
    bench.sender.send(dispatch("two"))
    bench.sender.close()
    await asyncio.sleep(0.03)
    assert bench.queues.closed
    assert bench.queues.sent == []


def test_a_worker_takes_orders_for_as_long_as_the_next_one_comes_soon() -> None:
    mine = Standby()
    mine.hear(b"old")
    mine.forget()
    for text in (b"one", b"two"):
        mine.hear(text)
    assert list(mine.orders(0.01)) == ["one", "two"]
    assert list(mine.orders(0.01)) == []


def test_celery_gets_its_process_back_at_last() -> None:
    mine, taken = Standby(), 0
    mine.hear(b"x")
    for _ in mine.orders(0.01):
        taken += 1
        mine.hear(b"x")
    assert taken == 100
