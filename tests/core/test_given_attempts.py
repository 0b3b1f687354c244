"""An attempt that its dispatch gives to a worker: how the manager and the orchestrator see it, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from orchestrator.core.facts import Fact
from orchestrator.task_queue.backlog import backlog
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.floor import Floor, Stage, evolve
from orchestrator.task_queue.rules import DispatchRules, expired, given, unclaimed
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import Situation
from schemas.attempts import Failure, Given
from schemas.celery_wire import GIVEN_WITHIN_S
from schemas.events import Payload
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskFailed, TaskReady, TaskRetried
from schemas.plan import Plan, RetryPolicy, TaskSpec
from schemas.signals import Heartbeat, Running
from tests.core.mission_play import Play

MINE = Running("t", "m", "a", 1)
TO = Given(worker="w", after="t/m/before:1")
NOT_BEGUN = Failure(code="not_begun", message="not begun", retryable=True)


class Bench:
    """One manager with a worker, and an attempt that was given to it; ``now`` is seconds since the beginning."""

    def __init__(self, to: Given | None = TO) -> None:
        self.now = 0.0
        self.situation = Situation(lease_s=3.0, since=0.0)
        self.sightings = Sightings(lambda: self.now)
        self.sent: list[Dispatch] = []
        self.asked: list[Any] = []
        self.rules = DispatchRules(
            self.situation,
            self.sent.append,
            lambda _, __: None,
            self.sightings,
            give=lambda *asked: self.give(to, asked),
        )
        self.floor: Floor = self.rules.fresh("t", "m")
        self.count = 0
        self.beat()
        self.put(TaskReady(task="a", attempt=1, skill="s"))
        self.facts = self.rules.advance(self.floor, datetime(2026, 1, 1, tzinfo=UTC))
        self.put(*self.facts)
        self.situation.began("w", MINE, self.now)  # as the manager does when it reads it

    def give(self, to: Given | None, asked: Any) -> Given | None:
        self.asked.append(asked)
        return to

    def put(self, *payloads: Payload) -> None:
        for payload in payloads:
            self.count += 1
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)
            self.floor = evolve(self.floor, Fact(payload, at, self.count, f"e{self.count}"))

    def beat(self, *running: Running, **more: Any) -> None:
        self.situation.hear(Heartbeat(worker="w", skills=("s",), running=running, **more), self.now)

    def why_over(self) -> list[str]:
        found: list[Any] = expired(self.floor, self.situation, self.sightings, self.now)
        return [event.failure.code for event in found]


def test_the_record_of_the_dispatch_says_to_whom_it_is_given() -> None:
    bench = Bench()
    assert bench.asked == [(("t", "m", "a", 1), "stig.s", "s")]
    (dispatched,) = bench.facts
    assert isinstance(dispatched, ActionDispatched)
    assert dispatched.order.given == TO
    bench.rules.recorded(bench.floor, [(dispatched, "e7")])
    assert [(one.order.given, one.order.cause) for one in bench.sent] == [(TO, "e7")]
    elsewhere = dispatched.order.model_copy(update={"given": Given(worker="v", after="t/m/before:1")})
    plain = dispatched.order.model_copy(update={"given": None})
    kinds = {dispatched.model_copy(update={"order": order}).identity() for order in (elsewhere, plain)}
    assert len({dispatched.identity(), *kinds}) == 3  # two managers do not say the same thing of two workers


def test_it_is_nobody_elses_and_runs_from_the_beginning() -> None:
    bench = Bench()
    opened = bench.floor.attempts["a"]
    assert (opened.stage, opened.worker) == (Stage.GIVEN, "w")
    assert given(bench.floor) == [opened]
    assert unclaimed(bench.floor, bench.sightings, -1.0) == []
    (line,) = backlog([bench.floor], bench.situation, bench.sightings)
    assert (line.queued, line.running) == (0, 1)
    bench.put(AttemptStarted(task="a", attempt=1, worker="w", agent="g"))
    assert bench.floor.attempts["a"].stage is Stage.STARTED
    assert given(bench.floor) == []


def test_its_report_may_come_without_another_word() -> None:
    bench = Bench()
    bench.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="succeeded"))
    assert bench.floor.attempts["a"].stage is Stage.REPORTED


def test_what_is_given_back_is_open_no_longer() -> None:
    bench = Bench()
    bench.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="cancelled", failure=NOT_BEGUN))
    assert len(bench.floor.attempts) == 0


@pytest.mark.parametrize("told", [True, False])
def test_a_worker_that_does_not_have_it_after_a_lease_has_not_begun_it_or_has_lost_its_report(told: bool) -> None:
    bench = Bench()
    if told:
        bench.put(AttemptStarted(task="a", attempt=1, worker="w", agent="g"))
    assert bench.why_over() == []
    for bench.now in (1.0, 2.0, 2.9):
        bench.beat()
        assert bench.why_over() == []
    bench.now = 3.1
    bench.beat()
    assert bench.why_over() == ["report_lost" if told else "not_begun"]


def test_a_worker_that_has_it_keeps_it() -> None:
    bench = Bench()
    for bench.now in (1.0, 2.0, 3.0, 4.0):
        bench.beat(MINE)
        assert bench.why_over() == []


def test_a_worker_that_has_left_has_not_begun_it() -> None:
    bench = Bench()
    bench.now = 0.2
    bench.beat(leaving=True)
    assert bench.why_over() == ["not_begun"]


@pytest.mark.parametrize("how", ["silent", "dead"])
def test_a_worker_that_is_lost_may_have_died_of_it(how: str) -> None:
    bench = Bench()
    assert bench.why_over() == []  # the manager's first look, from which it counts
    bench.now = 0.2 if how == "dead" else 3.2
    if how == "dead":
        bench.beat(leaving=True, gone=True)
    assert bench.why_over() == ["worker_lost"]


def test_however_short_the_lease_nothing_ends_that_may_still_begin() -> None:
    bench = Bench()
    bench.situation.lease_s = 0.1
    assert bench.why_over() == []
    bench.now = GIVEN_WITHIN_S
    assert bench.why_over() == []
    bench.now += 0.01
    assert bench.why_over() == ["worker_lost"]


def test_what_nobody_began_counts_for_nothing() -> None:
    play = Play(Random(1), Plan(tasks=(TaskSpec(id="a", skill="s", retry=RetryPolicy(max_attempts=1)),)))
    play.advance(cut=False)
    for attempt in range(1, 6):
        play.put(AttemptFinished(task="a", attempt=attempt, worker="w", outcome="cancelled", failure=NOT_BEGUN))
        play.advance(cut=False)
        retried = play.facts[-1].payload
        assert isinstance(retried, TaskRetried)
        play.now += timedelta(milliseconds=1)
        play.advance(cut=False)
        assert play.state.tasks["a"].attempt == attempt + 1
    failure = Failure(code="x", message="went wrong", retryable=True)
    play.put(AttemptFinished(task="a", attempt=6, worker="w", outcome="failed", failure=failure))
    play.advance(cut=False)
    assert any(isinstance(fact.payload, TaskFailed) for fact in play.facts)
