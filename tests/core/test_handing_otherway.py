"""Hand-offs and other ways together: a task that was handed on and then got stuck, and parts that are handed on."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from orchestrator.core.mission import MissionStatus, TaskStatus
from orchestrator.core.replanning import replanned
from orchestrator.replanning import _impasse
from schemas.attempts import Failure
from schemas.commands import AnswerTask, RetryMission
from schemas.events import Payload
from schemas.events.action import ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished
from schemas.events.task import TaskFailed, TaskHandedBack, TaskHandedOver, TaskReady, TaskStuck, TaskSucceeded
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.expectations import Violation
from schemas.handoff import NOT_ACCEPTED, HandOffRule
from schemas.plan import Plan, RecoveryRule, RetryPolicy, TaskSpec
from tests.core.handing_play import TREE, hand_on
from tests.core.mission_play import Play

ONE, TWO = TaskSpec(id="one", skill="s"), TaskSpec(id="two", skill="s", needs=("one",))


def begin(*rules: RecoveryRule, **spec: Any) -> Play:
    task = TaskSpec(
        id="a",
        skill="s",
        recover=rules or (RecoveryRule(do="smaller_step"),),
        **{"retry": RetryPolicy(max_attempts=1), **spec},
    )
    after = TaskSpec(id="after", skill="s", needs=("a",), inputs={"got": "${a.output.n}"})
    made = Play(Random(1), Plan(tasks=(task, after)))
    made.advance(cut=False)
    return made


def offer(made: Play, to: str, name: str = "a", *, verdict: Payload | None = None) -> None:
    attempt = hand_on(made, name, to, "you know better")
    made.put(verdict or WorldConfirmed(task=name, attempt=attempt))
    made.advance(cut=False)


def violated(name: str, attempt: int) -> WorldViolated:
    return WorldViolated(
        task=name, attempt=attempt, violations=(Violation(kind="exit_code", message="1", category="test_failed"),)
    )


def violate(made: Play, name: str = "a") -> None:
    made.put(violated(name, made.state.tasks[name].attempt))
    made.advance(cut=False)


def instead(made: Play, *parts: TaskSpec) -> None:
    made.decided(replanned(made.state, made.state.tasks["a"], parts, "p"))
    made.advance(cut=False)


def end(made: Play, name: str, **output: Any) -> None:
    attempt = made.state.tasks[name].attempt
    made.put(AttemptFinished(task=name, attempt=attempt, worker="w", outcome="succeeded", output=output))
    made.put(WorldConfirmed(task=name, attempt=attempt))
    made.advance(cut=False)


def fail(made: Play, name: str) -> None:
    attempt, failure = made.state.tasks[name].attempt, Failure(code="x", message="no good")
    made.put(AttemptFinished(task=name, attempt=attempt, worker="w", outcome="failed", failure=failure))
    made.advance(cut=False)


def of[P: Payload](made: Play, kind: type[P], task: str = "") -> list[P]:
    found = [fact.payload for fact in made.facts if isinstance(fact.payload, kind)]
    return [one for one in found if not task or one.task == task]  # type: ignore[attr-defined]


def status(made: Play, name: str) -> TaskStatus:
    return made.state.tasks[name].status


def handed_on_and_stuck(*rules: RecoveryRule) -> Play:
    made = begin(*rules)
    offer(made, "t")
    violate(made)
    assert status(made, "a") is TaskStatus.STUCK
    return made


def test_the_planner_is_told_who_had_it_and_what_they_were_given() -> None:
    made = handed_on_and_stuck()
    asked = _impasse(made.state, made.state.tasks["a"])
    assert (asked.task.skill, asked.skill, asked.attempt) == ("s", "t", 2)
    assert asked.handed is not None
    assert (asked.handed.skill, asked.handed.notes, asked.handed.workspace) == ("s", {"n": 1}, TREE)
    plain = begin()
    violate(plain)
    asked = _impasse(plain.state, plain.state.tasks["a"])
    assert (asked.skill, asked.handed) == ("s", None)


def test_what_is_done_instead_of_a_task_that_was_handed_on_ends_it_once() -> None:
    made = handed_on_and_stuck()
    instead(made, ONE, TWO)
    [one] = of(made, TaskReady, "a~1.one")
    assert (one.skill, one.handed) == ("s", None)  # it is another task, and goes on from nobody
    end(made, "a~1.one")
    end(made, "a~1.two", n=2)
    assert [event.attempt for event in of(made, TaskSucceeded, "a")] == [2]
    assert of(made, TaskReady, "after")[0].inputs == {"got": 2}
    end(made, "after")
    assert made.state.status is MissionStatus.COMPLETED
    assert len(of(made, TaskHandedOver)) == 1


def test_when_that_is_lost_the_receiver_goes_on_with_what_it_was_given() -> None:
    made = handed_on_and_stuck(RecoveryRule(do="smaller_step"), RecoveryRule(do="retry_with_feedback"))
    instead(made, ONE, TWO)
    fail(made, "a~1.one")
    assert status(made, "a~1.two").ended
    made.now += timedelta(seconds=60)
    made.advance(cut=False)
    ready = of(made, TaskReady, "a")[-1]
    assert (ready.attempt, ready.skill) == (3, "t")
    assert ready.handed is not None
    assert (ready.handed.workspace, ready.handed.notes) == (TREE, {"n": 1})
    offer(made, "s")  # and may hand it back: the offers go on counting
    assert [event.number for event in of(made, TaskHandedOver, "a")] == [1, 2]


def test_to_roll_back_afterwards_is_to_go_back_to_before_it_was_handed_on() -> None:
    made = handed_on_and_stuck(RecoveryRule(do="smaller_step"), RecoveryRule(do="roll_back"))
    instead(made, ONE)
    fail(made, "a~1.one")
    made.now += timedelta(seconds=60)
    made.advance(cut=False)
    ready = of(made, TaskReady, "a")[-1]
    assert (ready.attempt, ready.skill, ready.handed) == (3, "s", None)


def test_to_roll_back_to_somebody_is_to_give_it_to_them() -> None:
    """The simulation found it: the skill that the rule names was forgotten with the hand-off."""
    made = begin(RecoveryRule(do="roll_back", skill="u"))
    offer(made, "t")
    violate(made)
    made.now += timedelta(seconds=60)
    made.advance(cut=False)
    ready = of(made, TaskReady, "a")[-1]
    assert (ready.attempt, ready.skill, ready.handed) == (3, "u", None)


def test_an_offer_that_broke_its_bounds_is_none_and_what_is_done_instead_ends_the_task() -> None:
    made = begin()
    offer(made, "t", verdict=violated("a", 1))
    assert status(made, "a") is TaskStatus.STUCK
    assert _impasse(made.state, made.state.tasks["a"]).handed is None
    instead(made, ONE)
    end(made, "a~1.one", n=7)
    assert not of(made, TaskHandedOver)
    assert of(made, TaskReady, "after")[0].inputs == {"got": 7}


def test_when_that_is_lost_the_offer_does_not_come_back() -> None:
    made = begin(RecoveryRule(do="smaller_step"))
    offer(made, "t", verdict=violated("a", 1))
    instead(made, ONE)
    fail(made, "a~1.one")
    assert not of(made, TaskHandedOver)
    assert not of(made, TaskHandedBack)
    [failed] = of(made, TaskFailed, "a")
    assert "another way was tried, and a~1.one failed" in failed.failure.message


def test_a_part_is_handed_on_like_any_task() -> None:
    made = begin(RecoveryRule(do="smaller_step", times=2))
    violate(made)
    instead(made, ONE.model_copy(update={"hand_off": HandOffRule(to=("t",))}), TWO)
    offer(made, "t", "a~1.one")
    ready = of(made, TaskReady, "a~1.one")[-1]
    assert (ready.attempt, ready.skill) == (2, "t")
    made.put(ActionExpired(task="a~1.one", attempt=2, failure=Failure(code=NOT_ACCEPTED, message="nobody took it")))
    made.advance(cut=False)
    assert of(made, TaskHandedBack, "a~1.one")[0].skill == "s"
    end(made, "a~1.one")
    offer(made, "t", "a~1.two")
    end(made, "a~1.two", n=3)
    assert [event.attempt for event in of(made, TaskSucceeded, "a")] == [1]
    assert of(made, TaskReady, "after")[0].inputs == {"got": 3}


@pytest.mark.parametrize("code", ["unknown_skill", "invalid_input"])
def test_a_receiver_whose_intent_is_refused_is_no_reason_to_ask_twice(code: str) -> None:
    """Nobody has the skill: the giver gets it back. The intent does not fit: the planner is asked, once."""
    made = begin(RecoveryRule(category="timeout", do="fail"))
    offer(made, "t")
    made.put(ActionRefused(task="a", attempt=2, failure=Failure(code=code, message="no")))
    made.advance(cut=False)
    if code == "unknown_skill":
        assert of(made, TaskReady, "a")[-1].skill == "s"
        assert not of(made, TaskStuck)
        return
    assert [event.attempt for event in of(made, TaskStuck, "a")] == [2]
    instead(made, ONE)
    fail(made, "a~1.one")
    assert len(of(made, TaskStuck, "a")) == 1
    assert not of(made, TaskHandedBack)
    assert made.state.status is MissionStatus.FAILED


def test_a_mission_that_is_tried_again_begins_before_the_hand_off() -> None:
    made = handed_on_and_stuck()
    instead(made, ONE)
    fail(made, "a~1.one")
    assert made.state.status is MissionStatus.FAILED
    made.ask(RetryMission(id="again", mission="m"))
    made.advance(cut=False)
    ready = of(made, TaskReady, "a")[-1]
    assert (ready.skill, ready.handed) == ("s", None)


@pytest.mark.parametrize("accepted", [True, False])
def test_what_a_person_answered_holds_for_whoever_has_the_task_next(accepted: bool) -> None:
    """The simulation found it: an attempt that was told what a person had said offered the task to somebody else."""
    made = begin(RecoveryRule(do="ask"), hand_off=HandOffRule(most=1 if accepted else 0))
    violate(made)
    assert status(made, "a") is TaskStatus.ASKING
    made.ask(AnswerTask(id="answer", mission="m", task="a", decision="retry", advice="look in the attic"))
    made.now += timedelta(seconds=60)
    made.advance(cut=False)
    assert of(made, TaskReady, "a")[-1].advice == "look in the attic"
    offer(made, "t")
    ready = of(made, TaskReady, "a")[-1]
    assert (ready.attempt, ready.skill) == (3, "t" if accepted else "s")
    assert ready.advice == "look in the attic"
