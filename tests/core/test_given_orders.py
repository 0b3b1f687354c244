"""A worker that stands by: what it takes, what it gives back, and that it never begins what it gave back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from schemas.attempts import Action, AttemptOrder, Given, spelled
from schemas.celery_wire import STANDBY_ORDERS
from workers import standby
from workers.standby import Standby


def order(task: str, after: str = "first") -> AttemptOrder:
    given = Given(worker="w", after=spelled("t", "m", after, 1))
    action = Action(tool="code")
    return AttemptOrder(tenant="t", mission="m", task=task, attempt=1, skill="code", action=action, given=given)


class Worker:
    """One that makes ``first`` by a message and stands by afterwards. ``then`` is done while a task is being made."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.refused: list[str] = []
        self.took: list[str] = []
        self.stopped = False
        self.standby = Standby(self.take, lambda order: self.refused.append(order.task))
        self.then: dict[str, Callable[[], None]] = {}

    def take(self, order: AttemptOrder) -> bool:
        if not self.stopped:
            self.took.append(order.task)
        return not self.stopped

    def make(self, order: AttemptOrder) -> None:
        self.made.append(order.task)
        self.standby.reporting(order)
        self.then.get(order.task, lambda: None)()

    def serve(self, wait_s: float = 0.01, enough: Callable[[], bool] = lambda: False) -> list[str]:
        self.standby.serve(lambda: self.make(order("first")), self.make, wait_s, enough)
        return self.made


def test_it_makes_what_comes_after_each_report() -> None:
    mine = Worker()
    mine.then["first"] = lambda: mine.standby.hear(order("a"))
    mine.then["a"] = lambda: mine.standby.hear(order("b", after="a"))
    assert mine.serve() == ["first", "a", "b"]
    assert mine.took == ["a", "b"]
    assert mine.refused == []


def test_what_comes_while_it_waits_is_made_at_once() -> None:
    mine = Worker()
    late = threading.Timer(0.1, lambda: mine.standby.hear(order("a")))
    mine.then["first"] = late.start
    begun = time.monotonic()
    assert mine.serve(2.0, lambda: True) == ["first", "a"]
    assert time.monotonic() - begun < 1.0
    late.join()


@pytest.mark.parametrize("heard", ["before", "afterwards"])
def test_what_comes_when_it_does_not_stand_by_is_given_back(heard: str) -> None:
    mine = Worker()
    if heard == "before":
        mine.standby.hear(order("a"))
    assert mine.serve() == ["first"]
    if heard == "afterwards":
        mine.standby.hear(order("a"))
    assert mine.refused == ["a"]


def test_what_was_given_back_is_never_begun_and_what_was_begun_is_never_given_back() -> None:
    mine = Worker()
    mine.standby.hear(order("a"))
    assert mine.refused == ["a"]
    mine.then["first"] = lambda: [mine.standby.hear(order(name)) for name in ("a", "b", "b")]  # type: ignore[assignment]
    mine.then["b"] = lambda: mine.standby.hear(order("b"))
    assert mine.serve() == ["first", "b"]
    mine.standby.hear(order("b"))
    assert mine.refused == ["a"]


def test_of_two_for_one_moment_one_is_given_back() -> None:
    mine = Worker()
    mine.then["first"] = lambda: [mine.standby.hear(order(name)) for name in ("a", "b")]  # type: ignore[assignment]
    assert (mine.serve(), mine.refused) == (["first", "a"], ["b"])


def test_an_order_for_another_moment_is_given_back() -> None:
    mine = Worker()
    mine.then["first"] = lambda: mine.standby.hear(order("a", after="one made long ago"))
    assert (mine.serve(), mine.refused) == (["first"], ["a"])


def test_an_order_without_a_worker_is_nobodys() -> None:
    mine = Worker()
    mine.then["first"] = lambda: mine.standby.hear(order("a").model_copy(update={"given": None}))
    assert (mine.serve(), mine.refused) == (["first"], [])


def test_a_stop_in_force_has_it_given_back() -> None:
    mine = Worker()
    mine.stopped = True
    mine.then["first"] = lambda: mine.standby.hear(order("a"))
    assert (mine.serve(), mine.refused) == (["first"], ["a"])


@pytest.mark.parametrize("asleep", ["before it heard of it", "after it heard of it"])
def test_a_process_that_slept_begins_nothing_old(asleep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "GIVEN_WITHIN_S", 0.05)
    mine = Worker()

    def slow() -> None:
        if asleep == "before it heard of it":
            time.sleep(0.1)
        mine.standby.hear(order("a"))
        if asleep == "after it heard of it":
            time.sleep(0.1)

    mine.then["first"] = slow
    assert (mine.serve(), mine.refused) == (["first"], ["a"])


def test_what_was_taken_is_made_although_it_is_enough_and_nothing_after_it() -> None:
    mine = Worker()
    mine.then["first"] = lambda: mine.standby.hear(order("a"))
    mine.then["a"] = lambda: mine.standby.hear(order("b", after="a"))
    mine.then["b"] = lambda: mine.standby.hear(order("c", after="b"))
    assert mine.serve(enough=lambda: True) == ["first", "a", "b"]
    assert mine.refused == ["c"]


def test_an_error_gives_back_what_was_taken() -> None:
    mine = Worker()

    def broken() -> None:
        mine.standby.hear(order("a"))
        raise OSError("the log is away")

    mine.then["first"] = broken
    with pytest.raises(OSError, match="away"):
        mine.serve()
    assert mine.refused == ["a"]
    mine.standby.hear(order("b"))
    assert mine.refused == ["a", "b"]


def test_celery_gets_its_process_back_at_last() -> None:
    mine = Worker()
    names = ["first", *(f"t{number}" for number in range(2 * STANDBY_ORDERS))]
    for before, name in pairwise(names):
        mine.then[before] = lambda before=before, name=name: mine.standby.hear(order(name, after=before))  # type: ignore[misc]
    # One more, that was taken when the last that counted was reported.
    assert len(mine.serve()) == 1 + STANDBY_ORDERS + 1
