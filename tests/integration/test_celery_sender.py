"""The sender against a real Valkey: what it sends, what it holds back, and what it does when Redis is away."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from orchestrator.task_queue.dispatch import CelerySender, Dispatch, key_of
from schemas.attempts import Action, AttemptOrder
from stigmergy.local.ephemeral import valkey_server

Spread = Callable[[str, str], tuple[float | None, int, float]]


def dispatch(name: str, priority: int = 5, attempt: int = 1) -> Dispatch:
    order = AttemptOrder(
        tenant="t", mission="m", task=name, attempt=attempt, skill="echo", action=Action(tool="echo"), cause="c"
    )
    return Dispatch("stig.echo", priority, order)


class Queue:
    """What lies in the queue, read without taking it."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url)

    def messages(self) -> list[list[str]]:
        """The tasks of every message, the next one first."""
        found = []
        for step in ("", ":3", ":6", ":9"):
            for raw in reversed(self.redis.lrange(f"stig.echo{step}", 0, -1)):
                [[orders], _, _] = json.loads(base64.b64decode(json.loads(raw)["body"]))
                found.append([json.loads(order)["task"] for order in orders])
        return found

    def until(self, wanted: list[list[str]], within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while (seen := self.messages()) != wanted:
            assert time.monotonic() < deadline, f"{seen} is not {wanted}"
            time.sleep(0.01)

    def until_count(self, count: int, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while len(self.messages()) != count:
            assert time.monotonic() < deadline, f"{self.messages()} are not {count}"
            time.sleep(0.01)


@pytest.fixture
def queue(valkey_url: str) -> Iterator[Queue]:
    queue = Queue(valkey_url)
    queue.redis.flushdb()
    yield queue
    queue.redis.flushdb()
    queue.redis.close()


@pytest.fixture
def sender(valkey_url: str) -> Iterator[Callable[[Spread], CelerySender]]:
    made: list[CelerySender] = []

    def make(spread: Spread) -> CelerySender:
        made.append(CelerySender(valkey_url, spread))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_it_holds_back_what_workers_do_not_want_yet(queue: Queue, sender: Callable[[Spread], CelerySender]) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    for number in range(5):
        one.send(dispatch(f"t{number}"))
    queue.until([["t0"], ["t1"]])
    one.settled(key_of(dispatch("t0").order))
    queue.until([["t0"], ["t1"], ["t2"]])


def test_what_came_later_with_a_higher_priority_goes_first(
    queue: Queue, sender: Callable[[Spread], CelerySender]
) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    one.send(dispatch("first"))
    one.send(dispatch("second"))
    queue.until([["first"], ["second"]])
    one.send(dispatch("common"))
    one.send(dispatch("urgent", priority=9))
    one.settled(key_of(dispatch("first").order))
    queue.until([["urgent"], ["first"], ["second"]])


def test_whoever_had_no_turn_for_long_is_sent_as_urgent(queue: Queue, sender: Callable[[Spread], CelerySender]) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    one.send(dispatch("u0", priority=9))
    one.send(dispatch("u1", priority=9))
    queue.until([["u0"], ["u1"]])
    one.send(dispatch("low", priority=7))
    for number in range(2, 12):
        one.send(dispatch(f"u{number}", priority=9))
    order = []
    for _ in range(8):  # a worker claims one after another
        [(first, *_), *_] = queue.messages()
        order.append(first)
        before = len(queue.messages())
        queue.redis.rpop("stig.echo")
        one.settled(key_of(dispatch(first).order))
        queue.until_count(before)
    assert "low" in order
    assert order.index("low") > 3


def test_a_message_that_too_many_went_before_goes_next(queue: Queue, sender: Callable[[Spread], CelerySender]) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    one.send(dispatch("low", priority=6))
    queue.until([["low"]])
    for number in range(12):
        one.send(dispatch(f"u{number}", priority=9))
    queue.until([["u0"], ["low"]])
    for number in range(8):  # eight of priority 9 are worth one of priority 6
        queue.redis.rpop("stig.echo")
        one.settled(key_of(dispatch(f"u{number}").order))
        last = [["low"]] if number == 7 else []
        queue.until([*last, [f"u{number + 1}"], *([] if last else [["low"]])])


def test_what_other_managers_sent_costs_turns_as_well(queue: Queue, sender: Callable[[Spread], CelerySender]) -> None:
    theirs, ours = sender(lambda skill, queue: (None, 1, 0.9)), sender(lambda skill, queue: (None, 1, 0.1))
    ours.send(dispatch("low", priority=5))
    queue.until([["low"]])
    theirs.send(dispatch("u0", priority=8))
    theirs.send(dispatch("u1", priority=8))
    queue.until([["u0"], ["u1"], ["low"]])
    ours.passed("stig.echo", 8, 7)
    ours.passed("stig.other", 8, 100)
    theirs.settled(key_of(dispatch("nothing").order))
    queue.until([["u0"], ["u1"], ["low"]])
    ours.passed("stig.echo", 8, 1)  # eight of priority 8 are worth one of priority 5
    queue.until([["low"], ["u0"], ["u1"]])


def test_quick_work_travels_together_and_slow_work_alone(
    queue: Queue, sender: Callable[[Spread], CelerySender]
) -> None:
    pace: dict[str, float | None] = {"echo": None}
    one = sender(lambda skill, queue: (pace[skill], 1, 1.0))
    for name in ("a", "b", "c", "d", "e", "f"):
        one.send(dispatch(name))
    queue.until([["a"], ["b"]])
    pace["echo"] = 0.02  # two of them take 0.04 s, three would take more than 0.05 s
    one.settled(key_of(dispatch("a").order))
    queue.until([["a"], ["b"], ["c", "d"]])


def test_what_was_cancelled_while_it_waited_is_not_sent(queue: Queue, sender: Callable[[Spread], CelerySender]) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    for name in ("a", "b", "gone", "c"):
        one.send(dispatch(name))
    queue.until([["a"], ["b"]])
    one.settled(key_of(dispatch("gone").order))
    one.settled(key_of(dispatch("a").order))
    queue.until([["a"], ["b"], ["c"]])


def test_a_lost_message_is_sent_again_and_takes_no_further_place(
    queue: Queue, sender: Callable[[Spread], CelerySender]
) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    one.send(dispatch("a"))
    one.send(dispatch("b"))
    queue.until([["a"], ["b"]])
    queue.redis.flushdb()
    one.send(dispatch("a"))  # a dispatch that is unclaimed already is not doubled
    one.again(dispatch("a"))
    queue.until([["a"]])
    one.settled(key_of(dispatch("b").order))
    one.send(dispatch("c"))
    queue.until([["a"], ["c"]])


def test_it_waits_for_redis_to_come_back(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        one = CelerySender(server.url, lambda skill, queue: (None, 1, 1.0))
        try:
            server.kill()
            one.send(dispatch("patient"))
            time.sleep(0.3)
            server.start()
            Queue(server.url).until([["patient"]])
        finally:
            one.close()


def test_a_rate_holds_back_what_could_go(queue: Queue, valkey_url: str) -> None:
    sender = CelerySender(valkey_url, lambda skill, queue: (None, 50, 1.0), rates={"echo": 5.0})
    began = time.monotonic()
    for number in range(8):
        sender.send(dispatch(f"t{number}"))
    queue.until([[f"t{number}"] for number in range(8)])
    # One goes at once, and seven more at five a second.
    assert time.monotonic() - began > 7 / 5.0 - 0.05
    sender.close()


def test_it_is_quiet_where_nothing_waits_for_the_same_worker(
    queue: Queue, sender: Callable[[Spread], CelerySender]
) -> None:
    one = sender(lambda skill, queue: (None, 1, 1.0))
    own = ("stig.echo@north", "echo")
    assert one.quiet(*own, lambda name: True)
    one.send(dispatch("waits"))
    queue.until([["waits"]])
    assert not one.quiet(*own, {"stig.echo", "stig.echo@north"}.__contains__)
    assert one.quiet(*own, {"stig.echo@north"}.__contains__)
    one.settled(key_of(dispatch("waits").order))
    deadline = time.monotonic() + 10
    while not one.quiet(*own, lambda name: True):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_missions_take_turns(queue: Queue, valkey_url: str) -> None:
    sender = CelerySender(valkey_url, lambda skill, queue: (None, 2, 1.0))
    for number in range(50):
        sender.send(dispatch(f"large{number}"))
    queue.until([[f"large{number}"] for number in range(4)])
    small = dispatch("small")
    sender.send(Dispatch(small.queue, small.priority, small.order.model_copy(update={"mission": "other"})))
    for number in range(2):
        sender.settled(("t", "m", f"large{number}", 1))
    deadline = time.monotonic() + 10
    while ["small"] not in queue.messages():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sender.close()
