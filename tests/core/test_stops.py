"""Emergency stops in a worker and on record: what they mean, how long they hold, what they end."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orchestrator.stopping import within
from schemas.commands import ResumeWork
from schemas.errors import Cancelled, Stopped
from schemas.events.reflex import ReflexResumed, ReflexStopped
from schemas.ids import uuid7
from schemas.signals import Acknowledgement, Running, Standing, Stop
from schemas.stops import HEARD_S, StopRecord, Stops
from workers.stopping import StopFlag
from workers.watch import Watch

MINE = Running("t", "m", "a", 1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stop", "meant"),
    [
        (Stop(), True),
        (Stop("t"), True),
        (Stop("t", "m"), True),
        (Stop("other"), False),
        (Stop("t", "other"), False),
        (Stop(agent="coder"), True),
        (Stop(agent="tester"), False),
        (Stop(worker="w1"), True),
        (Stop(worker="w2"), False),
        (Stop("t", "m", "a", 2), False),
    ],
)
def test_what_a_stop_means(stop: Stop, meant: bool) -> None:
    assert stop.means(MINE, worker="w1", agent="coder") is meant


def test_a_stop_that_was_only_heard_ends_by_itself() -> None:
    stops = Stops()
    stops.hear(Stop("t", id="s1"), 10.0)
    assert stops.covering("t", "m", 10.0 + HEARD_S / 2) is not None
    assert stops.covering("t", "m", 10.1 + HEARD_S) is None


def test_a_recorded_stop_holds_until_it_is_lifted() -> None:
    stops = Stops()
    stops.hear(Stop("t", id="s1"), 0.0)
    assert stops.adopt(Standing(5, (Stop("t", id="s1"),)))
    assert stops.covering("t", "m", 1e6) is not None
    assert not stops.adopt(Standing(4))  # an older word, from a manager that lags behind
    assert stops.covering("t", "m", 1e6) is not None
    assert stops.adopt(Standing(6, (), ("s1",)))
    assert stops.covering("t", "m", 1e6) is None
    stops.hear(Stop("t", id="s1"), 1e6)  # said again by somebody who has not heard
    assert stops.covering("t", "m", 1e6) is None


def test_a_held_mission_is_heard_of_for_as_long_as_it_is_and_answered_by_nobody() -> None:
    answers: list[Acknowledgement] = []
    watch = Watch(may_exit=False, worker="w1", acknowledge=lambda _, told: answers.append(told))
    trip, other = Stop("t", "m", id="trip", forgiven=True, trip=True), Running("t", "n", "a", 1)
    watch.hear(raw(trip))
    begun = time.monotonic()
    assert not watch.may_begin(MINE, "coder")
    assert time.monotonic() - begun < 1.0, "the work of others waits behind it"
    assert watch.may_begin(other, "coder")
    watch.adopt(Standing(5, lifted=("trip",)))
    assert watch.may_begin(MINE, "coder")
    again = Stop("t", "m", id="another", forgiven=True, trip=True)
    watch.hear_standing(raw(Standing(3, trips=(again,))))  # from a manager that knows less of stops
    assert watch.covers("t", "m", "coder")
    watch.hear_standing(raw(Standing(3, lifted=("another",))))
    assert not watch.covers("t", "m", "coder")
    assert answers == []


def test_the_record_is_a_fold() -> None:
    record = StopRecord()
    record.fold(ReflexStopped(stop="s1", tenant="t"), 1)
    record.fold(ReflexStopped(stop="s2"), 2)
    record.fold(ReflexResumed(lifts=("s1",)), 3)
    record.fold(ReflexStopped(stop="s1", tenant="t"), 4)  # doubled, after it was lifted
    assert [stop.id for stop in record.standing().stops] == ["s2"]
    assert record.standing().sequence == 4


def asked(**scope: Any) -> ResumeWork:
    return ResumeWork(id=uuid7(), tenant="t", **scope)


def test_resuming_lifts_what_lies_within_and_nothing_of_another_tenant() -> None:
    assert within(Stop("t", "m", id="s"), asked())
    assert within(Stop("t", "m", id="s"), asked(mission="m"))
    assert not within(Stop("t", id="s"), asked(mission="m"))
    assert not within(Stop("other", id="s"), asked())
    assert not within(Stop("", id="s"), asked())
    assert within(Stop("other", id="s"), asked(everyone=True))
    assert not within(Stop("t", agent="b", id="s"), asked(agent="a"))


def in_hand(watch: Watch, flag: StopFlag, entered: threading.Event) -> list[BaseException]:
    """An attempt in a thread of its own, until it is stopped."""
    caught: list[BaseException] = []

    def work() -> dict[str, Any]:
        entered.set()
        while True:
            flag.check()
            time.sleep(0.005)

    def run() -> None:
        with watch.holding([MINE], "coder"):
            try:
                watch.run(MINE, flag, 30.0, work)
            except Cancelled as error:
                caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert entered.wait(10)
    thread.join(0)
    caught.append(thread)  # type: ignore[arg-type]
    return caught


def raw(word: Any) -> bytes:
    return msgspec.json.encode(word)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_stop_ends_what_is_in_hand_and_is_acknowledged(recorded: bool) -> None:
    said: list[tuple[str, Acknowledgement]] = []
    watch = Watch(may_exit=False, worker="w1", acknowledge=lambda stop, word: said.append((stop, word)))
    found = in_hand(watch, StopFlag(), threading.Event())
    stop = Stop("t", id="s1", reason="a drill", forgiven=True)
    if recorded:  # the stop itself was lost: the word about all stops in force ends it as well
        watch.hear_standing(raw(Standing(1, (stop,))))
    else:
        watch.hear(raw(stop))
    found.pop(0).join(10)  # type: ignore[attr-defined]
    assert [type(error) for error in found] == [Stopped]
    assert said == [("s1", Acknowledgement("w1", (MINE,))), ("s1", Acknowledgement("w1", (MINE,), ended=True))]


def test_who_joins_while_everybody_is_being_stopped_answers_once_for_what_it_reads() -> None:
    said: list[str] = []
    watch = Watch(may_exit=False, worker="w1", acknowledge=lambda stop, _: said.append(stop))
    heard, read = Stop("t", id="s1", forgiven=True), Stop("t", "m", id="s2", forgiven=True)
    watch.hear(raw(heard))
    for _ in range(2):
        watch.hear_standing(raw(Standing(2, (heard, read))))
    assert said == ["s1", "s2"]


def test_a_manager_that_lags_behind_stops_nothing_that_was_lifted() -> None:
    watch = Watch(may_exit=False, worker="w1")
    stop, flag = Stop("t", id="s1", forgiven=True), StopFlag()
    watch.adopt(Standing(2, lifted=("s1",)))
    found = in_hand(watch, flag, threading.Event())
    watch.hear_standing(raw(Standing(1, (stop,))))
    assert not flag.is_set()
    flag.cancel("the test is over")
    found.pop(0).join(10)  # type: ignore[attr-defined]


def test_an_ordinary_stop_counts_as_cancelled() -> None:
    watch = Watch(may_exit=False)
    found = in_hand(watch, StopFlag(), threading.Event())
    watch.hear(raw(Stop("t", "m", "a")))
    found.pop(0).join(10)  # type: ignore[attr-defined]
    assert [type(error) for error in found] == [Cancelled]


def test_nothing_begins_while_it_is_stopped() -> None:
    watch = Watch(may_exit=False, worker="w1")
    watch.adopt(Standing(1, (Stop("t", id="s1", forgiven=True),)))
    assert not watch.may_begin(MINE, "coder")
    assert watch.may_begin(Running("other", "m", "a", 1), "coder")
    lifting = threading.Timer(0.1, lambda: watch.adopt(Standing(2, (), ("s1",))))
    lifting.start()
    assert watch.may_begin(MINE, "coder")


def test_a_worker_says_which_agents_are_held_back() -> None:
    watch = Watch(may_exit=False, worker="w1")
    assert watch.held_back(["coder", "tester"]) == set()
    watch.adopt(Standing(1, (Stop(agent="coder", id="s1"),)))
    assert watch.held_back(["coder", "tester"]) == {"coder"}
    watch.adopt(Standing(2, (Stop(worker="w1", id="s1"),)))
    assert watch.held_back(["coder", "tester"]) == {"coder", "tester"}
