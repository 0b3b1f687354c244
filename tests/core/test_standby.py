"""What is given straight to a worker that has just finished, and what happens when it does not take it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from events.signals import MemorySignals
from orchestrator.task_queue import standby
from orchestrator.task_queue.dispatch import Dispatch, key_of
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.standby import StandbySender
from schemas.attempts import Action, AttemptOrder, Given
from schemas.celery_wire import STANDBY_LONGEST_S, STANDBY_ORDERS, STANDBY_S
from schemas.signals import ORDERS


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

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        raise AssertionError("whoever stands by is asked first")

    def returned(self, attempt: AttemptKey) -> None:
        """Of no interest."""

    def quiet(self, queue: str, skill: str, reads: Callable[[str], bool]) -> bool:
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

    def send(self, task: str) -> Given | None:
        """Dispatch a task as the manager does, given to whoever it can be given to."""
        plain = dispatch(task)
        given = self.sender.give(key_of(plain.order), plain.queue, plain.order.skill)
        order = plain.order.model_copy(update={"given": given})
        self.sender.send(Dispatch(plain.queue, plain.priority, order))
        return given

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
    bench.send("two")
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two"], [])
    bench.sender.settled(key_of(dispatch("two").order))
    assert bench.queues.settled_ == []  # they never had it
    # It stands by again after what it was given in this way, without being told by a message.
    bench.finished("two", told=False)
    bench.send("three")
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two", "three"], [])


@pytest.mark.parametrize("why", ["so many orders", "so long"])
async def test_a_worker_that_celery_has_back_is_not_relied_upon(bench: Bench, why: str) -> None:
    bench.finished("0")
    orders = STANDBY_ORDERS if why == "so many orders" else 3
    for number in range(1, orders + 1):
        bench.send(str(number))
        bench.sender.settled(key_of(dispatch(str(number)).order))
        bench.now += STANDBY_LONGEST_S if why == "so long" and number == orders else 0.001
        bench.finished(str(number), told=False)
    bench.send("next")
    await asyncio.sleep(0)
    assert (len(bench.heard), bench.queues.sent) == (orders, ["next"])


async def test_one_order_a_worker(bench: Bench) -> None:
    bench.finished("one")
    for task in ("two", "three"):
        bench.send(task)
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two"], ["three"])


@pytest.mark.parametrize("why", ["it was not told to", "it has waited long enough", "another skill", "others wait"])
async def test_else_the_order_goes_the_ordinary_way(bench: Bench, why: str) -> None:
    bench.finished(
        "one", told=why != "it was not told to", reads="stig.test" if why == "another skill" else "stig.code"
    )
    bench.now += STANDBY_S if why == "it has waited long enough" else 0.0
    bench.queues.busy = "stig.code" if why == "others wait" else "stig.elsewhere"
    bench.send("two")
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == ([], ["two"])


async def test_it_is_asked_again_whether_it_has_what_it_was_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "_ASKED_AFTER_S", (0.01, 0.01))
    for task in ("two", "three", "four"):
        bench.finished("one")
        bench.send(task)
    bench.sender.settled(key_of(dispatch("three").order))
    bench.finished("four", told=False)  # its report says so as well
    await asyncio.sleep(0.1)
    assert (bench.heard, bench.queues.sent) == (["two", "three", "four", "two", "two"], [])


async def test_what_a_worker_gave_back_goes_to_the_queue_from_then_on(bench: Bench) -> None:
    bench.finished("one")
    assert bench.send("two") is not None
    bench.sender.returned(key_of(dispatch("two").order))
    bench.finished("two", told=False)
    assert bench.send("three") is None  # who gave it back does not stand by
    bench.finished("one")
    assert bench.send("two") is None
    assert bench.send("four") == Given(worker="w1", after="t/m/one:1")


async def test_what_another_manager_gave_is_asked_about_as_well(bench: Bench) -> None:
    order = dispatch("two").order.model_copy(update={"given": Given(worker="w1", after="t/m/one:1")})
    for _ in range(2):
        bench.sender.send(Dispatch("stig.code", 5, order))
    await asyncio.sleep(0)
    assert (bench.heard, bench.queues.sent) == (["two"], [])


async def test_nothing_is_sent_after_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "_ASKED_AFTER_S", (0.01,))
    bench.finished("one")
    bench.send("two")
    bench.sender.close()
    await asyncio.sleep(0.03)
    assert bench.queues.closed
    assert (bench.heard, bench.queues.sent) == (["two"], [])
