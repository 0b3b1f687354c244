"""Hand-offs, decided and judged without any server."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.core.facts import Fact
from orchestrator.core.mission import TaskStatus
from orchestrator.planning import load_template
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.floor import Floor, Stage
from orchestrator.task_queue.handing import held_to, lapsed
from orchestrator.task_queue.rules import expired
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import Situation
from schemas.attempts import Failure
from schemas.errors import InvalidInput, InvalidWorkflow, LimitExceeded
from schemas.events import Payload
from schemas.events.action import ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskFailed, TaskHandedBack, TaskHandedOver, TaskReady
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.expectations import (
    Compiles,
    FilesChangedWithin,
    FilesUnchanged,
    MaxDuration,
    MaxMemory,
    Observation,
    OutputHas,
    TestsPass,
    Violation,
)
from schemas.handoff import NOT_ACCEPTED, HandOff, HandOffRule
from schemas.plan import Plan, RecoveryRule, RetryPolicy, TaskSpec
from tests.core.handing_play import TREE, hand_on
from tests.core.mission_play import BEGIN, Play
from tests.core.test_agent_output import nested
from workers.handing import checked_notes


def begin(**spec: Any) -> Play:
    task = TaskSpec(id="a", skill="s", **{"retry": RetryPolicy(max_attempts=1), **spec})
    play = Play(Random(1), Plan(tasks=(task,)))
    play.advance(cut=False)
    return play


def offer(play: Play, to: str, *, confirmed: bool = True) -> None:
    attempt = hand_on(play, "a", to, f"because of {play.state.tasks['a'].attempt}")
    if confirmed:
        play.put(WorldConfirmed(task="a", attempt=attempt))
        play.advance(cut=False)


def newest(play: Play, kind: type[Payload]) -> Any:
    return [fact.payload for fact in play.facts if isinstance(fact.payload, kind)][-1]


def test_the_next_attempt_is_the_receivers_and_knows_everything() -> None:
    play = begin()
    offer(play, "t")
    ready = newest(play, TaskReady)
    assert (ready.attempt, ready.skill) == (2, "t")
    handed = ready.handed
    assert (handed.skill, handed.agent, handed.worker, handed.attempt) == ("s", "x", "w1", 1)
    assert (handed.why, handed.notes, handed.workspace) == ("because of 1", {"n": 1}, TREE)
    assert [(turn.skill, turn.to) for turn in handed.turns] == [("s", "t")]
    assert not handed.returned


def test_nothing_is_handed_over_before_the_verdict_nor_after_a_bad_one() -> None:
    play = begin(retry=RetryPolicy(max_attempts=2, on_violation=True))
    offer(play, "t", confirmed=False)
    play.advance(cut=False)
    assert play.state.tasks["a"].status is TaskStatus.READY
    play.put(WorldViolated(task="a", attempt=1, violations=(Violation(kind="files_unchanged", message="changed"),)))
    play.advance(cut=False)
    play.now += timedelta(seconds=10)
    play.advance(cut=False)
    ready = newest(play, TaskReady)
    assert (ready.attempt, ready.skill, ready.handed) == (2, "s", None)


def test_every_turn_is_kept_and_a_hand_off_is_no_retry() -> None:
    play = begin()  # one attempt only
    for to in ("t", "u", "s"):
        offer(play, to)
    ready = newest(play, TaskReady)
    assert (ready.attempt, ready.skill) == (4, "s")
    assert [turn.skill for turn in ready.handed.turns] == ["s", "t", "u"]


@pytest.mark.parametrize(
    ("rule", "to", "says"),
    [
        (HandOffRule(to=("u",)), "t", "the plan lets it be handed to u, not to 't'"),
        (HandOffRule(to=()), "t", "the plan does not let this task be handed on"),
        (HandOffRule(most=0), "t", "this task may be handed on not at all; finish it, or fail"),
        (HandOffRule(), "s", "it was offered to 's', whose skill has it already"),
    ],
)
def test_what_is_refused_goes_back_with_the_reason(rule: HandOffRule, to: str, says: str) -> None:
    play = begin(hand_off=rule)
    offer(play, to)
    back, ready = newest(play, TaskHandedBack), newest(play, TaskReady)
    assert (back.skill, back.to, back.failure.message) == ("s", to, says)
    assert (ready.attempt, ready.skill, ready.handed.workspace) == (2, "s", TREE)
    assert [violation.message for violation in ready.feedback] == [f"not handed to {to}: {says}"]
    assert ready.handed.returned == f"not handed to {to}: {says}"


def test_a_task_may_always_go_back_to_its_own_skill() -> None:
    play = begin(hand_off=HandOffRule(to=("t",)))
    offer(play, "t")
    offer(play, "s")
    assert newest(play, TaskReady).skill == "s"


def test_offers_are_bounded_and_the_giver_is_warned_once() -> None:
    play = begin(hand_off=HandOffRule(most=2))
    for to in ("t", "s", "t", "t"):
        offer(play, to)
    kinds = [type(f.payload) for f in play.facts if isinstance(f.payload, TaskHandedOver | TaskHandedBack | TaskFailed)]
    assert kinds == [TaskHandedOver, TaskHandedOver, TaskHandedBack, TaskFailed]
    assert newest(play, TaskFailed).failure.code == "hand_offs_exhausted"


@pytest.mark.parametrize("code", [NOT_ACCEPTED, "unknown_skill", "unfulfilled"])
def test_what_nobody_takes_goes_back_to_its_giver(code: str) -> None:
    play = begin()
    offer(play, "t")
    play.put(ActionExpired(task="a", attempt=2, failure=Failure(code=code, message="nobody")))
    play.advance(cut=False)
    back, ready = newest(play, TaskHandedBack), newest(play, TaskReady)
    assert (back.skill, back.to, back.number) == ("s", "t", 1)
    assert (ready.attempt, ready.skill, ready.handed.workspace) == (3, "s", TREE)
    # Should nobody be there of the giver's skill either, it is an ordinary failure.
    play.put(ActionExpired(task="a", attempt=3, failure=Failure(code=code, message="nobody")))
    play.advance(cut=False)
    assert play.state.tasks["a"].status is TaskStatus.FAILED


def test_a_receiver_that_fails_is_followed_by_one_that_knows_as_much() -> None:
    play = begin(retry=RetryPolicy(max_attempts=2))
    offer(play, "t")
    lost = Failure(code="worker_lost", message="gone", retryable=True)
    play.put(ActionExpired(task="a", attempt=2, worker="w2", failure=lost))
    play.advance(cut=False)
    play.now += timedelta(seconds=10)
    play.advance(cut=False)
    ready = newest(play, TaskReady)
    assert (ready.attempt, ready.skill, ready.handed.workspace) == (3, "t", TREE)


def test_rolling_back_goes_back_to_before_the_hand_off() -> None:
    play = begin(recover=(RecoveryRule(do="roll_back"),))
    offer(play, "t")
    play.put(AttemptFinished(task="a", attempt=2, worker="w", outcome="succeeded"))
    play.put(WorldViolated(task="a", attempt=2, violations=(Violation(kind="tests_pass", message="no"),)))
    play.advance(cut=False)
    play.now += timedelta(seconds=10)
    play.advance(cut=False)
    ready = newest(play, TaskReady)
    assert (ready.attempt, ready.skill, ready.handed) == (3, "s", None)


def test_an_offer_without_a_receiver_is_a_failure() -> None:
    play = begin()
    play.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="handed_off"))
    play.advance(cut=False)
    assert play.state.tasks["a"].status is TaskStatus.FAILED


def test_a_fold_of_the_parts_is_the_whole() -> None:
    play = begin()
    offer(play, "t")
    before = play.state
    for fact in list(play.facts):  # whatever is said again changes nothing
        play.put(fact.payload, fact.cause)
    assert play.state.tasks["a"] == before.tasks["a"]


# the manager


def test_only_what_is_forbidden_is_asked_of_an_offer() -> None:
    expects = (
        FilesChangedWithin(patterns=("src/*",), at_least=2),
        FilesUnchanged(),
        MaxDuration(seconds=3),
        MaxMemory(megabytes=10),
        OutputHas(keys=("n",)),
        TestsPass(),
        Compiles(),
    )
    said = AttemptFinished(
        task="a",
        attempt=1,
        worker="w",
        outcome="handed_off",
        hand_off=HandOff(to="t", why="?"),
        observation=Observation(peak_memory_bytes=1),
    )
    assert held_to(expects, said) == (
        FilesChangedWithin(patterns=("src/*",)),
        FilesUnchanged(),
        MaxDuration(seconds=3),
        MaxMemory(megabytes=10),
    )
    unseen = said.model_copy(update={"observation": Observation()})
    assert MaxMemory(megabytes=10) not in held_to(expects, unseen)
    assert held_to(expects, said.model_copy(update={"outcome": "succeeded", "hand_off": None})) == expects


def handed_floor() -> Floor:
    play = begin(hand_off=HandOffRule(accept_within_s=5))
    offer(play, "t")
    floor = Floor(tenant="t", mission="m")
    for fact in play.facts:
        floor = floors.evolve(floor, fact)
    return floor


def test_an_offer_lapses_when_nobody_has_claimed_it_in_time() -> None:
    floor = handed_floor()
    seconds = [0.0]
    sightings = Sightings(lambda: seconds[0])
    assert lapsed(floor, sightings) == []  # the manager's first look, from which it counts
    queued = floor.attempts["a"]
    seconds[0] = 5.0
    floor = replace(floor, attempts=floor.attempts.set("a", replace(queued, stage=Stage.DISPATCHED, queue="t")))
    assert lapsed(floor, sightings) == []
    seconds[0] = 6.0  # to lie in a queue is not to be taken
    [event] = lapsed(floor, sightings)
    assert (event.attempt, event.failure.code) == (2, NOT_ACCEPTED)
    situation = Situation(2.0, 0.0)
    assert expired(floor, situation, sightings, 1.0) == [event]
    assert expired(floor, situation, sightings, 1.0, stopped=True) == []  # nobody may begin anything now
    claimed = floors.evolve(floor, Fact(AttemptStarted(task="a", attempt=2, worker="w", agent="x"), BEGIN, 99))
    assert lapsed(claimed, sightings) == []


def test_what_came_back_does_not_lapse() -> None:
    play = begin(hand_off=HandOffRule(to=(), accept_within_s=5))
    offer(play, "t")
    floor = Floor(tenant="t", mission="m")
    for fact in play.facts:
        floor = floors.evolve(floor, fact)
    seconds = [0.0]
    sightings = Sightings(lambda: seconds[0])
    assert lapsed(floor, sightings) == []
    seconds[0] = 86400.0
    assert lapsed(floor, sightings) == []


# plans and notes


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("polish", HandOffRule(to=("polish",))),
        ("[]", HandOffRule(to=())),
        ("[polish, check]", HandOffRule(to=("polish", "check"))),
        ("{most: 1, accept_within: 2m}", HandOffRule(most=1, accept_within_s=120)),
    ],
)
def test_how_a_plan_says_it(written: str, rule: HandOffRule) -> None:
    text = f"workflow: w\ntasks:\n  a:\n    skill: s\n    hand_off: {written}\n"
    assert load_template(text, "w.yaml").plan({}).tasks[0].hand_off == rule


def test_a_misspelt_key_is_pointed_out() -> None:
    text = "workflow: w\ntasks:\n  a:\n    skill: s\n    hand_off: {mots: 1}\n"
    with pytest.raises(InvalidWorkflow, match="hand_off has no key 'mots'"):
        load_template(text, "w.yaml")


def test_notes_are_json_of_a_bounded_size() -> None:
    assert checked_notes({"a": (1, 2)}) == {"a": [1, 2]}
    with pytest.raises(InvalidInput):
        checked_notes({"a": object()})
    with pytest.raises(LimitExceeded):
        checked_notes({"a": "x" * 300_000})
    with pytest.raises(LimitExceeded, match="deeper than 100"):
        checked_notes(nested(101))
    assert checked_notes(nested(100)) == nested(100)
