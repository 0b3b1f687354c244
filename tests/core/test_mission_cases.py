"""Missions one by one: what was once wrong, or would be easily."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.mission import GoalStatus, Mission, MissionStatus, TaskStatus
from schemas.attempts import Failure
from schemas.commands import PauseMission, ResumeMission, RetryMission, SubmitMission
from schemas.errors import Refused
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.goal import GoalFailed
from schemas.events.mission import MissionPlanned, MissionSubmitted
from schemas.events.task import TaskFailed, TaskReady
from schemas.events.world import WorldConfirmed
from schemas.plan import GoalSpec, Group, Plan, RetryPolicy, TaskSpec
from tests.core.mission_play import BEGIN, Play, bare, fold

ONCE = RetryPolicy(max_attempts=1)
LOST = Failure(code="x", message="went wrong", retryable=True)


def task(name: str, *needs: str, **rest: Any) -> TaskSpec:
    return TaskSpec(id=name, skill="s", needs=needs, **{"retry": ONCE, **rest})


def begin(plan: Plan) -> Play:
    play = Play(Random(1), plan)
    play.advance(cut=False)
    return play


def succeed(play: Play, name: str, output: dict[str, Any] | None = None) -> None:
    attempt = play.state.tasks[name].attempt
    play.put(AttemptFinished(task=name, attempt=attempt, worker="w", outcome="succeeded", output=output or {}))
    play.put(WorldConfirmed(task=name, attempt=attempt))
    play.advance(cut=False)


def fail(play: Play, name: str) -> None:
    attempt = play.state.tasks[name].attempt
    play.put(AttemptFinished(task=name, attempt=attempt, worker="w", outcome="failed", failure=LOST))
    play.advance(cut=False)


def status(play: Play, name: str) -> TaskStatus:
    return play.state.tasks[name].status


def goal_status(play: Play, name: str) -> GoalStatus:
    return play.state.goals[name].status


def of(play: Play, kind: type[Payload]) -> list[Any]:
    return [fact.payload for fact in play.facts if isinstance(fact.payload, kind)]


def grouped(items: Any, **rest: Any) -> Play:
    """A mission whose group ``g`` of tasks ``x`` has just learned its items."""
    group = Group(id="g", items="${a.output.items}", needs=("a",), tasks=(task("x"),), **rest)
    play = begin(Plan(tasks=(task("a"), task("after", "g")), groups=(group,)))
    succeed(play, "a", {"items": items})
    return play


def test_a_required_branch_that_fails_fails_the_mission() -> None:
    play = grouped(["p", "q"])
    assert goal_status(play, "g") is GoalStatus.OPEN
    fail(play, "g.p.x")
    assert play.state.status is MissionStatus.FAILED
    assert play.state.failure == LOST.model_copy(update={"message": "task g.p.x: went wrong"})


def test_an_optional_branch_may_fail_and_what_follows_runs_once_all_have_ended() -> None:
    play = grouped(["p", "q"], optional_branches=True)
    fail(play, "g.p.x")
    assert status(play, "after") is TaskStatus.WAITING
    succeed(play, "g.q.x")
    assert status(play, "after") is TaskStatus.READY
    succeed(play, "after")
    assert play.state.status is MissionStatus.COMPLETED


def test_a_group_without_items_is_done() -> None:
    play = grouped([])
    assert goal_status(play, "g") is GoalStatus.ACHIEVED
    assert status(play, "after") is TaskStatus.READY


def test_a_group_whose_items_are_no_list_fails_once_and_says_why() -> None:
    play = grouped("text")
    (failed,) = of(play, GoalFailed)
    assert failed.failure.code == "invalid_workflow"
    assert "needs a list; ${a.output.items} is a str" in failed.failure.message
    assert play.state.status is MissionStatus.FAILED


def test_a_group_that_cannot_unfold_in_an_optional_goal_leaves_nothing_waiting() -> None:
    group = Group(id="g", items="${a.output.items}", needs=("a",), goal="extra", tasks=(task("x"),))
    extra = GoalSpec(id="extra", optional=True)
    play = begin(Plan(goals=(extra,), tasks=(task("a"), task("after", "g", goal="extra")), groups=(group,)))
    succeed(play, "a", {"items": 7})
    assert play.state.status is MissionStatus.COMPLETED
    assert goal_status(play, "extra") is GoalStatus.FAILED
    assert play.state.tasks["after"].status in (TaskStatus.SKIPPED, TaskStatus.CANCELLED)


def test_a_group_that_needs_what_failed_is_no_success() -> None:
    group = Group(id="g", items="${inputs.items}", needs=("a",), tasks=(task("x"),))
    extra = GoalSpec(id="extra", optional=True)
    play = begin(Plan(goals=(extra,), tasks=(task("a", goal="extra"),), groups=(group,)))
    fail(play, "a")
    assert play.state.status is MissionStatus.FAILED
    assert play.state.failure == Failure(code="skipped", message="group 'g' cannot unfold: a failed")


@pytest.mark.parametrize("items", [["a", "a-3", "a"], ["a", "a", "a-2"], ["ä", "ö", ""], [None, {}, {"id": "2"}]])
def test_branches_of_items_that_look_alike_have_names_of_their_own(items: list[Any]) -> None:
    branches = grouped(items).state.groups["g"].branches
    assert branches is not None
    assert len(set(branches)) == len(items)


def test_a_task_id_that_gets_too_long_fails_the_group_with_the_reason() -> None:
    group = Group(id="g" * 50, items="${inputs.items}", tasks=(task("x" * 50),))
    play = Play(Random(1), Plan(groups=(group,)))
    play.state.inputs["items"] = ["b"]
    play.advance(cut=False)
    assert play.state.status is MissionStatus.FAILED
    assert "has 103 characters, more than 100" in play.state.reason


def test_a_branch_that_would_be_called_like_a_task_of_the_plan_fails_the_group() -> None:
    group = Group(id="g", items="${inputs.items}", tasks=(task("x"),))
    play = Play(Random(1), Plan(tasks=(task("g.b.x"),), groups=(group,)))
    play.state.inputs["items"] = ["b"]
    play.advance(cut=False)
    assert "'g.b.x', which is there already" in play.state.reason


def test_a_reference_that_is_missing_at_run_time_fails_the_task_with_the_reason() -> None:
    play = begin(Plan(tasks=(task("a"), task("b", "a", inputs={"n": "${a.output.number}"}))))
    succeed(play, "a", {"numbers": 1})
    (failed,) = of(play, TaskFailed)
    assert failed.failure.code == "reference_missing"
    assert "a.output has no 'number', it has 'numbers'" in failed.failure.message
    assert failed.failure.hint == "did you mean 'numbers'?"
    assert play.state.status is MissionStatus.FAILED


def test_a_task_with_a_dot_in_its_id_can_be_referred_to() -> None:
    play = begin(Plan(tasks=(task("a.b"), task("c", "a.b", inputs={"n": "${a.b.output.n}"}))))
    succeed(play, "a.b", {"n": 5})
    assert of(play, TaskReady)[-1].inputs == {"n": 5}


def test_of_two_reports_of_one_attempt_the_first_counts() -> None:
    play = begin(Plan(tasks=(task("a"),), result={"n": "${a.output.n}"}))
    for number in (1, 2):
        play.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="succeeded", output={"n": number}))
    play.put(WorldConfirmed(task="a", attempt=1))
    play.advance(cut=False)
    assert play.state.result == {"n": 1}


def test_readiness_said_twice_after_a_failure_is_no_success() -> None:
    play = begin(Plan(tasks=(task("a"),)))
    play.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="failed", failure=LOST))
    play.put(TaskReady(task="a", attempt=1, skill="s"))
    play.advance(cut=False)
    assert status(play, "a") is TaskStatus.FAILED


@pytest.mark.parametrize("recorded", range(4))
def test_a_deadline_of_which_a_part_is_on_record_stays_a_failure(recorded: int) -> None:
    play = begin(Plan(tasks=(task("a"), task("b"), task("c")), deadline_s=5.0))
    play.now += timedelta(seconds=6)
    whole = advance(play.state, play.now)
    part = fold(play.state, whole[:recorded], play.now)
    ended = fold(part, advance(part, play.now), play.now)
    assert ended.status is MissionStatus.FAILED
    assert ended.failure == Failure(code="timed_out", message="goal 'mission' passed its deadline of 5 s")
    assert bare(ended) == bare(fold(play.state, whole, play.now))


def test_the_last_failure_counts_even_if_the_deadline_has_passed_meanwhile() -> None:
    plan = Plan(goals=(GoalSpec(id="must"),), tasks=(task("a", goal="must"),), deadline_s=5.0)
    play = begin(plan)
    play.put(AttemptFinished(task="a", attempt=1, worker="w", outcome="failed", failure=LOST))
    play.decided(advance(play.state, play.now)[0])
    play.now += timedelta(seconds=6)
    play.advance(cut=False)
    assert play.state.status is MissionStatus.FAILED


def test_goals_below_a_goal_that_failed_are_not_achieved() -> None:
    goals = (GoalSpec(id="top", optional=True), GoalSpec(id="low", parent="top"))
    play = begin(Plan(goals=goals, tasks=(task("a", goal="top"), task("b", goal="low"), task("c"))))
    fail(play, "a")
    assert goal_status(play, "low") is GoalStatus.FAILED
    succeed(play, "c")
    assert play.state.status is MissionStatus.COMPLETED


def test_numbers_beyond_the_calendar_do_no_harm() -> None:
    forever = RetryPolicy(max_attempts=9, delay_s=1e300, factor=1e300, max_delay_s=1e300)
    assert begin(Plan(tasks=(task("a"),), deadline_s=1e300)).state.next_timer is not None
    play = begin(Plan(tasks=(task("a", retry=forever),)))
    for _ in range(3):
        fail(play, "a")
        assert play.state.next_timer is not None
        play.now = play.state.timers["free", "a"]
        play.advance(cut=False)
    assert play.state.tasks["a"].attempt == 4


def test_a_submission_whose_second_half_is_missing_is_completed_by_the_same_command() -> None:
    plan = Plan(tasks=(task("a"),))
    submit = SubmitMission(id="c1", mission="m", objective="o", plan=plan)
    submitted, planned = decide(Mission(id="m"), submit, BEGIN, plan=plan)
    assert (type(submitted), type(planned)) == (MissionSubmitted, MissionPlanned)
    play = Play(Random(1), plan)
    half = Play.__new__(Play)
    half.__dict__.update(play.__dict__, state=Mission(id="m"), facts=[])
    half.put(submitted, "c1")
    assert decide(half.state, submit, BEGIN, plan=plan) == [planned]
    half.put(planned, "c1")
    assert decide(half.state, submit, BEGIN, plan=plan) == []
    with pytest.raises(Refused, match="exists already"):
        decide(half.state, submit.model_copy(update={"id": "c2"}), BEGIN, plan=plan)


def test_a_plan_that_cannot_be_folded_is_refused() -> None:
    plan = Plan(tasks=(task("a", "nobody"),))
    with pytest.raises(Refused, match="no task graph"):
        decide(Mission(id="m"), SubmitMission(id="c1", mission="m", objective="o", plan=plan), BEGIN, plan=plan)


def test_a_doubled_retry_is_granted_once_and_a_second_one_is_refused() -> None:
    play = begin(Plan(tasks=(task("a"), task("b", "a"))))
    fail(play, "a")
    retry = RetryMission(id="r1", mission="m")
    play.ask(retry)
    assert decide(play.state, retry, play.now) == []
    with pytest.raises(Refused, match="only a failed mission"):
        decide(play.state, retry.model_copy(update={"id": "r2"}), play.now)
    play.advance(cut=False)
    assert play.state.tasks["a"].attempt == 2
    succeed(play, "a")
    succeed(play, "b")
    assert play.state.status is MissionStatus.COMPLETED


def test_reopening_opens_goals_whose_tolerated_losses_run_again() -> None:
    goals = (GoalSpec(id="some", error_threshold=2),)
    play = begin(Plan(goals=goals, tasks=(task("a", goal="some"), task("b", "a", goal="some"), task("c"))))
    fail(play, "a")
    assert goal_status(play, "some") is GoalStatus.ACHIEVED
    fail(play, "c")
    play.ask(RetryMission(id="r1", mission="m", tasks=("a", "c")))
    assert goal_status(play, "some") is GoalStatus.OPEN
    play.advance(cut=False)
    for name in ("a", "b", "c"):
        succeed(play, name)
    assert play.state.status is MissionStatus.COMPLETED
    assert goal_status(play, "some") is GoalStatus.ACHIEVED


def test_an_older_command_that_is_delivered_once_more_is_not_carried_out_again() -> None:
    play = begin(Plan(tasks=(task("a"),)))
    for number in (1, 2):
        for command in (PauseMission(id=f"p{number}", mission="m"), ResumeMission(id=f"r{number}", mission="m")):
            for payload in decide(play.state, command, play.now):
                play.put(payload, command.id)
    assert play.state.status is MissionStatus.RUNNING
    assert decide(play.state, PauseMission(id="p1", mission="m"), play.now) == []
    assert decide(play.state, PauseMission(id="p3", mission="m"), play.now)


def test_resuming_what_has_ended_is_refused() -> None:
    play = begin(Plan(tasks=(task("a"),)))
    succeed(play, "a")
    with pytest.raises(Refused, match="completed and cannot be resumed"):
        decide(play.state, ResumeMission(id="c9", mission="m"), play.now)
