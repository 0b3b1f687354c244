"""Orders that go straight to a worker that has just finished, and what happens when it does not take them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from events.signals import MemorySignals
from orchestrator.task_queue import standby
from orchestrator.task_queue.dispatch import Dispatch, key_of
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.standby import StandbySender
from schemas.attempts import Action, AttemptOrder
from schemas.celery_wire import STANDBY_LONGEST_S, STANDBY_ORDERS, STANDBY_S
from schemas.signals import ORDERS
from workers.standby import Standby, Work


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
    assert bench.queues.settled_ == []  # they never had it
    # It stands by again after what it was given in this way, without being told by a message.
    bench.finished("two", told=False)
    bench.sender.send(dispatch("three"))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two", "three"], [])


@pytest.mark.parametrize("why", ["so many orders", "so long"])
async def test_a_worker_that_celery_has_back_is_not_relied_upon(bench: Bench, why: str) -> None:
    bench.finished("0")
    orders = STANDBY_ORDERS if why == "so many orders" else 3
    for number in range(1, orders + 1):
        bench.sender.send(dispatch(str(number)))
        bench.sender.settled(key_of(dispatch(str(number)).order))
        bench.now += STANDBY_LONGEST_S if why == "so long" and number == orders else 0.001
        bench.finished(str(number), told=False)
    bench.sender.send(dispatch("next"))
    await asyncio.sleep(0)
    assert (len(bench.heard), bench.queues.sent) == (orders, ["next"])


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


class Worker:
    """One that stands by. ``claim`` notes what it is to claim, and answers when it is told to."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.claiming: dict[str, Callable[[Work], None]] = {}
        self.standby = Standby(lambda order: self.made.append(order.decode()), self.claim)

    def claim(self, order: bytes, then: Callable[[Work], None]) -> None:
        self.claiming[order.decode()] = then

    def answer(self, order: str) -> None:
        self.claiming.pop(order)(lambda: self.made.append(f"claimed {order}"))

    def work(self, wait_s: float = 0.01, enough: Callable[[], bool] = lambda: False) -> list[str]:
        """What is made until nothing more comes."""
        self.made.clear()
        for work in self.standby.orders(wait_s, enough):
            work()
        return list(self.made)


def test_a_worker_takes_orders_for_as_long_as_the_next_one_comes_soon() -> None:
    mine = Worker()
    mine.standby.hear(b"old")
    mine.standby.forget()
    for text in (b"one", b"two"):
        mine.standby.hear(text)
    assert mine.work() == ["one", "two"]
    assert mine.work() == []
    assert not mine.claiming  # none of them came while it waited


def test_what_comes_while_it_waits_is_claimed_where_it_came() -> None:
    mine = Worker()

    def bus() -> None:
        until(lambda: mine.standby._waits)
        mine.standby.hear(b"one")
        mine.standby.hear(b"two")  # while the first is being claimed
        mine.answer("one")

    thread = threading.Thread(target=bus)
    thread.start()
    assert sorted(mine.work(5.0, lambda: len(mine.made) == 2)) == ["claimed one", "two"]
    thread.join()
    assert not mine.claiming


def test_what_was_claimed_at_the_last_moment_is_made() -> None:
    mine = Worker()

    def bus() -> None:
        until(lambda: mine.standby._waits)
        mine.standby.hear(b"one")
        time.sleep(0.1)  # longer than the worker waits
        mine.answer("one")

    thread = threading.Thread(target=bus)
    thread.start()
    assert mine.work(0.05) == ["claimed one"]
    thread.join()


def test_what_was_claimed_is_made_although_it_is_enough() -> None:
    mine = Worker()

    def bus() -> None:
        until(lambda: mine.standby._waits)
        mine.standby.hear(b"one")
        mine.standby.hear(b"two")
        until(lambda: bool(mine.made))
        time.sleep(0.02)
        mine.answer("one")

    thread = threading.Thread(target=bus)
    thread.start()
    assert mine.work(5.0, lambda: True) == ["two", "claimed one"]
    thread.join()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_celery_gets_its_process_back_at_last() -> None:
    mine, taken = Worker(), 0
    mine.standby.hear(b"x")
    for _ in mine.standby.orders(0.01):
        taken += 1
        mine.standby.hear(b"x")
    assert taken == 100
