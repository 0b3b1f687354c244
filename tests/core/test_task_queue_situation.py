"""Workers heard, lost and forgotten; queues and priorities; how full a message gets."""

from __future__ import annotations

import pytest
from msgspec import structs

from orchestrator.task_queue.allocation import Allocation, allocate
from orchestrator.task_queue.dispatch import fill
from orchestrator.task_queue.situation import Situation
from schemas.attempts import Failure
from schemas.events.task import TaskReady
from schemas.signals import Heartbeat, Running

BUSY = (Running("t", "m", "x", 1),)


def ready(attempt: int = 1, priority: int = 5) -> TaskReady:
    return TaskReady(task="a", attempt=attempt, skill="paint", priority=priority)


def heard(*beats: Heartbeat) -> Situation:
    situation = Situation(lease_s=3.0, since=100.0)
    for beat in beats:
        situation.hear(beat, 100.0)
    return situation


def test_a_silent_worker_is_lost_once_then_forgotten_and_comes_back_with_a_heartbeat() -> None:
    beat = Heartbeat(worker="w", skills=("paint",))
    situation = heard(beat)
    assert list(situation.sweep(103.0)) == []
    assert not situation.is_lost("w", 103.0)
    assert list(situation.sweep(103.5)) == [("w", 3.5)]
    assert list(situation.sweep(104.0)) == []
    assert situation.is_lost("w", 103.5)
    assert situation.offering("paint") == []
    situation.hear(beat, 105.0)
    assert not situation.is_lost("w", 105.0)
    assert len(situation.offering("paint")) == 1
    assert list(situation.sweep(200.0)) == []
    assert situation.workers == {}
    assert situation.is_lost("w", 200.0)


def test_who_was_never_heard_of_is_lost_a_lease_after_listening_began() -> None:
    situation = heard()
    assert not situation.is_lost("stranger", 103.0)
    assert situation.is_lost("stranger", 103.1)


def test_a_worker_that_leaves_offers_nothing_and_is_not_called_lost() -> None:
    situation = heard(Heartbeat(worker="w", skills=("paint",), running=BUSY, leaving=True))
    assert situation.offering("paint") == []
    assert situation.skills() == []
    assert list(situation.running()) == [("w", BUSY[0])]
    assert list(situation.sweep(110.0)) == []
    assert list(situation.running()) == []


def test_who_has_died_is_lost_at_once_and_does_not_come_back() -> None:
    beat = Heartbeat(worker="w", skills=("paint",), running=BUSY)
    situation = heard(beat)
    situation.hear(structs.replace(beat, gone=True, leaving=True), 100.1)
    assert situation.is_lost("w", 100.1)
    assert [name for name, _ in situation.sweep(100.2)] == ["w"]
    assert "has ended without a goodbye" in situation.how_lost("w")
    situation.hear(beat, 100.3)  # sent before, on another connection
    assert situation.is_lost("w", 100.3)
    assert situation.offering("paint") == []
    assert list(situation.sweep(100.4)) == []


def test_what_a_worker_has_in_hand_is_known_before_its_next_heartbeat() -> None:
    situation = heard(Heartbeat(worker="w"))
    situation.began("w", BUSY[0], 100.0)
    assert situation.workers["w"].running == BUSY
    situation.ended("w", BUSY[0], 100.2)
    assert situation.workers["w"].running == ()
    situation.hear(Heartbeat(worker="w", running=BUSY), 100.5)
    situation.ended("w", BUSY[0], 100.6)
    assert situation.workers["w"].running == ()


def test_who_is_only_stopped_has_not_left_its_queue() -> None:
    beat = Heartbeat(worker="w", skills=("sing",), held=("paint",), profile="p")
    situation = heard(beat)
    for queue in ("stig.paint", "stig.paint@p"):
        assert situation.reading(queue) == []
        assert situation.keeping_back(queue)
    assert not situation.keeping_back("stig.paint@q")
    situation.hear(structs.replace(beat, gone=True), 100.1)
    list(situation.sweep(100.2))
    assert not situation.keeping_back("stig.paint@p")


def test_silence_while_nobody_listened_is_excused() -> None:
    situation = heard(Heartbeat(worker="w", running=BUSY))
    situation.began("w", BUSY[0], 100.0)
    situation.excuse(4.0, 104.5)
    assert list(situation.sweep(104.5)) == []
    assert not situation.has_dropped(BUSY[0], "w", 104.5)
    assert not situation.is_lost("stranger", 104.5)
    assert [name for name, _ in situation.sweep(107.5)] == ["w"]


def test_a_witness_does_not_know_what_is_in_hand() -> None:
    situation = heard(Heartbeat(worker="w"))
    situation.began("w", BUSY[0], 100.0)
    situation.hear(Heartbeat(worker="w", vouched=True), 104.0)
    assert not situation.has_dropped(BUSY[0], "w", 104.0)
    situation.hear(Heartbeat(worker="w"), 105.0)
    assert not situation.has_dropped(BUSY[0], "w", 107.0)
    assert situation.has_dropped(BUSY[0], "w", 107.1)


def test_expected_time_follows_what_was_seen() -> None:
    situation = heard()
    assert situation.expected_s("paint") is None
    situation.took("paint", 1.0)
    assert situation.expected_s("paint") == 1.0
    situation.took("paint", 2.0)
    assert situation.expected_s("paint") == pytest.approx(1.2)


def test_an_attempt_goes_to_the_queue_of_its_skill() -> None:
    situation = heard(Heartbeat(worker="v", skills=("paint",)), Heartbeat(worker="w", skills=("paint",), running=BUSY))
    chosen = allocate(ready(), situation, 0.0)
    assert chosen == Allocation("stig.paint", 5, "2 workers offer paint, 1 of them busy; priority 5")


@pytest.mark.parametrize(("attempt", "priority", "chosen"), [(1, 5, 5), (2, 5, 6), (7, 5, 6), (2, 9, 9), (1, 0, 0)])
def test_a_further_attempt_goes_a_step_before_the_first(attempt: int, priority: int, chosen: int) -> None:
    allocation = allocate(ready(attempt, priority), heard(Heartbeat(worker="w", skills=("paint",))), 0.0)
    assert isinstance(allocation, Allocation)
    assert allocation.priority == chosen


def test_a_skill_that_nobody_offers_is_waited_for_and_then_named() -> None:
    situation = heard(Heartbeat(worker="w", skills=("sing", "dance")))
    assert allocate(ready(), situation, situation.grace_s) is None
    failure = allocate(ready(), situation, situation.grace_s + 0.1)
    assert isinstance(failure, Failure)
    assert failure.code == "unknown_skill"
    assert failure.message == "no worker offers the skill 'paint'; skills on offer: dance, sing"
    assert "--skills paint" in failure.hint
    nobody = allocate(ready(), heard(), 21.0)
    assert isinstance(nobody, Failure)
    assert nobody.message.endswith("skills on offer: none at all")


@pytest.mark.parametrize(
    ("waiting", "seconds", "workers", "size"),
    [
        (100, None, 1, 1),  # nobody knows how long one takes
        (100, 1.0, 1, 1),  # one takes longer than a message is worth
        (4, 0.01, 4, 1),  # as many workers as attempts
        (3, 0.01, 4, 1),
        (4, 0.001, 4, 2),  # but a message is not worth its while for less than 2 ms of work
        (200, 0.0002, 200, 10),
        (3, 0.0002, 200, 3),
        (100, 0.01, 4, 5),  # 0.05 s of work
        (100, 0.001, 10, 10),  # every worker is left a message
        (10_000, 0.0, 4, 50),  # never more than fifty
        (10_000, 0.001, 0, 50),  # nobody is there yet
        (1, 0.001, 0, 1),
    ],
)
def test_how_full_a_message_gets(waiting: int, seconds: float | None, workers: int, size: int) -> None:
    assert fill(waiting, seconds, workers) == size
