"""The task-queue manager's view of a mission, and what it decides upon it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.core.facts import Fact
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.floor import Floor, Stage, evolve
from orchestrator.task_queue.rules import TIMEOUT_MARGIN_S, DispatchRules, expired, unclaimable, unclaimed
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import Situation
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import MissionCancelled
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.expectations import ExitCode
from schemas.signals import Heartbeat, Running

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINE = Running("t", "m", "a", 1)


class Bench:
    """One manager's rules and one mission's floor; ``now`` is seconds since the beginning."""

    def __init__(self, *skills: str) -> None:
        self.situation = Situation(lease_s=3.0, since=0.0)
        self.now = 0.0
        self.sent: list[Dispatch] = []
        self.sightings = Sightings(lambda: self.now)
        self.rules = DispatchRules(self.situation, self.sent.append, lambda _, __: None, self.sightings)
        self.floor: Floor = self.rules.fresh("t", "m")
        self.count = 0
        if skills:
            self.beat(*skills)

    def beat(self, *skills: str, running: tuple[Running, ...] = ()) -> None:
        self.situation.hear(Heartbeat(worker="w", skills=skills, running=running), self.now)

    def put(self, *payloads: Payload) -> None:
        for payload in payloads:
            self.count += 1
            self.floor = evolve(self.floor, Fact(payload, self.at(), self.count, f"e{self.count}"))

    def at(self) -> datetime:
        return BEGIN + timedelta(seconds=self.now)

    def advance(self) -> list[Payload]:
        facts = self.rules.advance(self.floor, self.at())
        self.put(*facts)
        return facts

    def expired(self) -> list[Any]:
        return expired(self.floor, self.situation, self.sightings, self.now)


def ready(task: str = "a", attempt: int = 1, **rest: Any) -> TaskReady:
    return TaskReady(task=task, attempt=attempt, skill="s", **rest)


def finished(outcome: Any = "succeeded", attempt: int = 1) -> AttemptFinished:
    return AttemptFinished(task="a", attempt=attempt, worker="w", outcome=outcome)


STARTED = AttemptStarted(task="a", attempt=1, worker="w", agent="g")


def started(**rest: Any) -> Bench:
    bench = Bench("s")
    bench.put(ready(**rest))
    bench.advance()
    bench.put(STARTED)
    bench.beat("s", running=(MINE,))
    assert bench.expired() == []  # the manager's first look, from which it counts
    return bench


def test_an_attempt_goes_from_ready_to_its_verdict() -> None:
    bench = Bench("s")
    bench.put(ready())
    (dispatched,) = bench.advance()
    assert isinstance(dispatched, ActionDispatched)
    assert bench.advance() == []
    bench.put(STARTED)
    assert bench.floor.attempts["a"].stage is Stage.STARTED
    bench.put(finished())
    assert bench.advance() == [WorldConfirmed(task="a", attempt=1, checks=())]
    assert len(bench.floor.attempts) == 0
    assert len(bench.floor.agenda) == 0


def test_what_was_expected_and_not_seen_is_a_violation() -> None:
    bench = started(expects=(ExitCode(),))
    bench.put(finished())
    (violated,) = bench.advance()
    assert isinstance(violated, WorldViolated)


def test_an_attempt_that_failed_by_its_own_word_is_not_judged() -> None:
    bench = started()
    bench.put(finished("failed"))
    assert bench.advance() == []


def test_an_attempt_never_goes_back_a_stage() -> None:
    bench = Bench("s")
    bench.put(ready())
    (dispatched,) = bench.rules.advance(bench.floor, bench.at())
    bench.put(STARTED, dispatched)
    opened = bench.floor.attempts["a"]
    assert opened.stage is Stage.STARTED
    assert opened.order is not None
    bench.put(finished(), STARTED, dispatched)
    assert bench.floor.attempts["a"].stage is Stage.REPORTED
    bench.put(ready())
    assert bench.floor.attempts["a"].stage is Stage.REPORTED


def test_an_order_that_is_sent_again_names_the_event_that_dispatched_it() -> None:
    bench = Bench("s")
    bench.put(ready())
    bench.advance()
    order = bench.floor.attempts["a"].order
    assert order is not None
    assert order.cause == "e2"


def test_late_words_of_an_old_attempt_change_nothing() -> None:
    bench = started()
    bench.put(ready(attempt=2))
    before = bench.floor
    bench.put(STARTED, finished(), finished("failed"))
    bench.put(TaskReady(task="a", attempt=1, skill="s"))
    assert bench.floor == before


def test_nothing_becomes_ready_after_the_end() -> None:
    bench = Bench("s")
    bench.put(MissionCancelled(), ready())
    assert len(bench.floor.attempts) == 0
    assert bench.advance() == []


def test_a_manager_that_has_just_come_waits_before_it_says_that_nobody_has_the_skill() -> None:
    bench = Bench()
    bench.put(ready())
    late = bench.at() + timedelta(hours=1)
    assert bench.rules.advance(bench.floor, late) == []
    bench.now = 21.0
    (refused,) = bench.rules.advance(bench.floor, late)
    assert isinstance(refused, ActionRefused)
    assert refused.failure.code == "unknown_skill"


def test_what_waits_for_a_worker_does_not_stand_in_the_way_of_what_does_not() -> None:
    bench = Bench("s")
    bench.put(*(TaskReady(task=f"x{number}", attempt=1, skill="rare") for number in range(2100)), ready())
    assert [fact.about() for fact in bench.advance()] == ["a"]


def test_an_intent_without_what_it_needs_is_refused() -> None:
    bench = Bench("s")
    bench.put(ready(intent="RunTests"))
    (refused,) = bench.advance()
    assert isinstance(refused, ActionRefused)
    assert "has no workspace" in refused.failure.message


def test_a_decision_on_record_is_sent_with_its_cause() -> None:
    bench = Bench("s")
    bench.put(ready())
    (dispatched,) = bench.advance()
    bench.rules.recorded(bench.floor, [(dispatched, "id1"), (TaskSucceeded(task="a", attempt=1), "id2")])
    (sent,) = bench.sent
    assert (sent.queue, sent.order.cause, sent.order.task) == ("stig.s", "id1", "a")


def test_the_lease_of_a_silent_worker_ends() -> None:
    bench = started()
    bench.now = 3.0
    assert bench.expired() == []
    bench.now = 3.1
    (fact,) = bench.expired()
    assert (type(fact), fact.failure.code, fact.failure.retryable) == (ActionExpired, "worker_lost", True)
    bench.put(fact)
    assert bench.expired() == []
    bench.put(finished())
    assert bench.advance() == []


def test_an_attempt_far_over_its_time_is_ended_though_its_worker_lives() -> None:
    bench = started(timeout_s=10.0)
    bench.now = 10.0 + TIMEOUT_MARGIN_S
    bench.beat("s", running=(MINE,))
    assert bench.expired() == []
    bench.now += 0.1
    (fact,) = bench.expired()
    assert fact.failure.code == "timed_out"


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)])
def test_no_calendar_ends_an_attempt_or_keeps_it(wrong: timedelta) -> None:
    bench = Bench("s")
    bench.put(ready(timeout_s=10.0))
    bench.advance()
    bench.floor = evolve(bench.floor, Fact(STARTED, bench.at() + wrong, 99, "e99"))  # by the worker's clock
    for bench.now in (0.0, 10.0 + TIMEOUT_MARGIN_S):
        bench.beat("s", running=(MINE,))
        assert bench.expired() == []
    bench.now += 0.1
    assert [fact.failure.code for fact in bench.expired()] == ["timed_out"]


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)])
def test_no_calendar_makes_an_attempt_unclaimed_or_keeps_it_so(wrong: timedelta) -> None:
    bench = Bench("s")
    bench.put(ready())
    (dispatched,) = bench.rules.advance(bench.floor, bench.at() + wrong)  # by another manager
    bench.floor = evolve(bench.floor, Fact(dispatched, bench.at() + wrong, 99, "e99"))
    assert unclaimed(bench.floor, bench.sightings, 0.0) == []
    bench.now = 3.1
    assert [opened.ready.task for opened in unclaimed(bench.floor, bench.sightings, 3.0)] == ["a"]


def test_what_was_seen_is_forgotten_when_nobody_asks_for_it_any_more() -> None:
    bench = started()
    bench.now = 100.0
    bench.sightings.forget()
    assert not bench.sightings._seen


def test_an_attempt_without_end_needs_no_calendar() -> None:
    bench = started(timeout_s=1e300)
    assert bench.expired() == []


def test_what_nobody_claims_is_found() -> None:
    bench = Bench("s")
    bench.put(ready())
    bench.advance()
    assert unclaimed(bench.floor, bench.sightings, 0.0) == []
    bench.now = 4.0
    assert unclaimed(bench.floor, bench.sightings, 4.0) == []
    assert [opened.ready.task for opened in unclaimed(bench.floor, bench.sightings, 3.9)] == ["a"]
    bench.put(STARTED)
    assert unclaimed(bench.floor, bench.sightings, 3.9) == []


def test_what_nobody_can_claim_is_given_up_for_another_attempt() -> None:
    bench = Bench("s")
    bench.put(ready())
    bench.advance()
    [fact] = unclaimable(bench.floor, "a", 1, 5)
    assert isinstance(fact, ActionExpired)
    assert fact.failure.retryable
    assert "sent 6 times" in fact.failure.message
    bench.put(fact)
    assert not bench.floor.attempts
    assert unclaimable(bench.floor, "a", 1, 5) == []


def test_a_claim_in_the_last_moment_is_not_given_up() -> None:
    bench = Bench("s")
    bench.put(ready())
    bench.advance()
    bench.put(STARTED)
    assert unclaimable(bench.floor, "a", 1, 5) == []
    assert unclaimable(bench.floor, "a", 2, 5) == []
