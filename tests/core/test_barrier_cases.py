"""Barriers one by one: k of n, until a time, partial results, the rest, forks, goals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.core.mission import GoalStatus, MissionStatus, TaskStatus
from schemas.barriers import Barrier
from schemas.commands import ForkMission, RetryMission
from schemas.events.mission import MissionCompleted, MissionExtended
from schemas.events.task import TaskCancelled, TaskReady, TaskSkipped
from schemas.forks import ForkChange
from schemas.plan import GoalSpec, Group, Plan, TaskSpec
from stigmergy.waiting import waits_for
from tests.core.fork_play import ForkPlay, recording_of
from tests.core.mission_play import Play
from tests.core.test_mission_cases import begin, fail, goal_status, of, status, succeed, task

ABC = (task("a"), task("b"), task("c"))


def joined(barrier: Barrier, *more: TaskSpec, **inputs: Any) -> Play:
    join = task("join", "a", "b", "c", barrier=barrier, inputs=inputs)
    return begin(Plan(tasks=(*ABC, join, *more)))


def ready(play: Play, name: str = "join") -> TaskReady:
    return [event for event in of(play, TaskReady) if event.task == name][-1]


def test_two_of_three_are_enough_and_what_is_there_and_missing_is_on_the_log() -> None:
    play = joined(
        Barrier(at_least=2),
        all=["${a.output.n}", "${b.output.n}", "${c.output.n}"],
        one="${b.output.n}",
        other='${b.output.n ?? c.output.n ?? "none"}',
        text='n is ${b.output.n ?? "not there"}',
        met="${barrier.met}",
        missing="${barrier.missing}",
    )
    succeed(play, "a", {"n": 1})
    assert status(play, "join") is TaskStatus.WAITING
    succeed(play, "c", {"n": 3})
    event = ready(play)
    assert (event.needs_met, event.needs_missing) == (("a", "c"), ("b",))
    assert event.inputs == {
        "all": [1, 3], "one": None, "other": 3, "text": "n is not there", "met": ["a", "c"], "missing": ["b"],
    }  # fmt: skip
    assert status(play, "b") is TaskStatus.READY  # the rest is kept


def test_a_text_with_a_hole_fails_the_task_with_the_reason() -> None:
    play = joined(Barrier(at_least=1), text="n is ${b.output.n}")
    succeed(play, "a")
    assert status(play, "join") is TaskStatus.FAILED
    assert "'b' had not come about" in play.state.tasks["join"].reason


def test_the_rest_is_cancelled_unless_somebody_else_waits_for_it() -> None:
    chain = (task("before"), task("b", "before"), task("c"), task("a"), task("other", "c"))
    join = task("join", "a", "b", "c", barrier=Barrier(at_least=1, rest="cancel"))
    play = begin(Plan(tasks=(*chain, join)))
    succeed(play, "a")
    assert {event.task for event in of(play, TaskCancelled)} == {"b", "before"}
    assert of(play, TaskCancelled)[0].reason == "join has begun without it"
    assert status(play, "c") is TaskStatus.READY
    for name in ("join", "c", "other"):
        succeed(play, name)
    assert play.state.status is MissionStatus.COMPLETED


def test_it_is_skipped_with_the_counts_when_too_few_can_come_about() -> None:
    play = joined(Barrier(at_least=2))
    fail(play, "a")
    assert status(play, "join") is TaskStatus.WAITING
    assert play.state.status is MissionStatus.RUNNING  # one failure is borne
    fail(play, "c")
    assert of(play, TaskSkipped)[0].reason == "only 1 of 3 that it needs can come about, and it wants 2"
    assert play.state.status is MissionStatus.FAILED


def test_failures_that_only_barriers_see_do_not_fail_the_goal() -> None:
    play = joined(Barrier(at_least=2))
    fail(play, "b")
    succeed(play, "a")
    succeed(play, "c")
    succeed(play, "join")
    assert of(play, MissionCompleted)
    assert goal_status(play, "mission") is GoalStatus.ACHIEVED
    assert (play.state.goals["mission"].failed, play.state.goals["mission"].failures) == (1, 0)


def test_a_failure_that_something_without_a_barrier_sees_does() -> None:
    play = joined(Barrier(at_least=2), task("strict", "b"))
    fail(play, "b")
    assert play.state.status is MissionStatus.FAILED


def test_until_a_time_and_then_with_what_is_there() -> None:
    play = joined(Barrier(until_s=60))
    succeed(play, "b", {"n": 2})
    play.now += timedelta(seconds=59)
    play.advance(cut=False)
    assert status(play, "join") is TaskStatus.WAITING
    assert waits_for(play.state, play.state.tasks["join"]) == "1 of 3, wants all, until 00:01:00 UTC, then 1"
    assert play.state.next_timer == play.now + timedelta(seconds=1)
    play.now += timedelta(seconds=1)
    play.advance(cut=False)
    assert ready(play).needs_met == ("b",)


def test_after_the_time_the_first_is_enough_and_no_timer_is_due_for_ever() -> None:
    play = joined(Barrier(until_s=60))
    play.now += timedelta(seconds=100)
    play.advance(cut=False)
    assert play.state.next_timer is None
    succeed(play, "c")
    assert ready(play).needs_met == ("c",)


def test_nothing_has_to_be_there_where_that_is_said_and_time_may_count_from_the_start() -> None:
    slow = Plan(tasks=(task("first"), task("a", "first"), task("join", "a", barrier=_from_start())))
    play = begin(slow)
    play.now += timedelta(seconds=10)
    play.advance(cut=False)
    assert ready(play).needs_missing == ("a",)


def _from_start() -> Barrier:
    return Barrier(until_s=10, then_at_least=0, since="mission")


def test_when_nothing_is_open_any_more_it_does_not_wait_for_the_time() -> None:
    play = joined(Barrier(until_s=3600))
    succeed(play, "a")
    fail(play, "b")
    fail(play, "c")
    assert ready(play).needs_met == ("a",)


def test_the_next_attempt_is_given_what_has_come_about_meanwhile() -> None:
    patient = task("join", "a", "b", barrier=Barrier(at_least=1), retry={"max_attempts": 2, "delay_s": 0.1})
    play = begin(Plan(tasks=(*ABC[:2], patient)))
    succeed(play, "a")
    succeed(play, "b")
    fail(play, "join")
    play.now += timedelta(seconds=1)
    play.advance(cut=False)
    assert ready(play).attempt == 2
    assert ready(play).needs_met == ("a", "b")


def grouped(barrier: Barrier, items: list[str]) -> Play:
    group = Group(id="g", items="${inputs.list}", tasks=(task("x"), task("y", "x")))
    join = task("join", "g", barrier=barrier, inputs={"all": "${g[*].y.output.n}"})
    play = begin(Plan(tasks=(task("first"), join), groups=(group.model_copy(update={"needs": ("first",)}),)))
    play.state.inputs["list"] = items
    succeed(play, "first")
    return play


def test_a_group_counts_once_for_each_branch() -> None:
    play = grouped(Barrier(at_least=2, rest="cancel"), ["p", "q", "r"])
    assert of(play, MissionExtended)[0].goals[0].optional  # only a barrier waits for the group
    for branch in ("p", "r"):
        assert status(play, "join") is TaskStatus.WAITING
        succeed(play, f"g.{branch}.x")
        succeed(play, f"g.{branch}.y", {"n": branch})
    event = ready(play)
    assert (event.needs_met, event.needs_missing) == (("g.p", "g.r"), ("g.q",))
    assert event.inputs == {"all": ["p", "r"]}
    assert {event.task for event in of(play, TaskCancelled)} == {"g.q.x", "g.q.y"}
    succeed(play, "join")
    assert play.state.status is MissionStatus.COMPLETED


def test_branches_that_fail_are_counted_and_too_few_skip_it() -> None:
    play = grouped(Barrier(at_least=2), ["p", "q"])
    fail(play, "g.p.x")
    assert of(play, TaskSkipped)[-1].reason == "only 1 of 2 that it needs can come about, and it wants 2"


def test_a_group_may_stand_behind_a_barrier() -> None:
    group = Group(
        id="g", items="${a.output.l ?? b.output.l}", needs=("a", "b"), barrier=Barrier(at_least=1), tasks=(task("x"),)
    )
    play = begin(Plan(tasks=ABC[:2], groups=(group,)))
    succeed(play, "b", {"l": ["p"]})
    assert of(play, MissionExtended)[0].branches == ("p",)


def test_what_was_reopened_waits_behind_its_barrier_again() -> None:
    play = joined(Barrier(at_least=2))
    fail(play, "a")
    fail(play, "b")
    assert play.state.status is MissionStatus.FAILED
    play.ask(RetryMission(id="c9", mission="m", tasks=("a",)))
    play.advance(cut=False)
    assert status(play, "join") is TaskStatus.WAITING
    succeed(play, "a")
    succeed(play, "c")
    assert ready(play).needs_met == ("a", "c")


def test_what_was_left_behind_stays_behind_when_the_mission_is_reopened() -> None:
    join = task("join", "a", "b", barrier=Barrier(at_least=1, rest="cancel"))
    play = begin(Plan(tasks=(*ABC[:2], join, task("d"))))
    succeed(play, "a")
    succeed(play, "join")
    fail(play, "d")
    play.ask(RetryMission(id="c9", mission="m"))
    play.advance(cut=False)
    assert status(play, "b") is TaskStatus.CANCELLED
    succeed(play, "d")
    assert play.state.status is MissionStatus.COMPLETED


def origin_of_join() -> Play:
    play = joined(Barrier(at_least=2), n="${a.output.n ?? 0}")
    succeed(play, "a", {"n": 1})
    succeed(play, "c", {"n": 3})
    succeed(play, "join", {"n": 10})
    succeed(play, "b", {"n": 2})
    assert play.state.status is MissionStatus.COMPLETED
    return play


def test_a_fork_takes_over_what_stood_behind_a_barrier_though_more_is_there_now() -> None:
    play = origin_of_join()
    command = ForkMission(id="f0", mission="f", origin="m", at=len(play.facts))
    fork = ForkPlay(command, recording_of(play.facts, len(play.facts))).to_the_end()
    assert not fork.executed
    assert fork.adopted["join"].needs_met == ("a", "c")
    assert fork.state.tasks["join"].finished is not None
    assert fork.state.tasks["join"].finished.output == {"n": 10}


def test_a_fork_that_runs_one_need_anew_waits_for_it_and_gives_the_same_needs() -> None:
    play = origin_of_join()
    change = ForkChange(path="task.a.output", value={"n": 5})
    command = ForkMission(id="f0", mission="f", origin="m", at=len(play.facts), changes=(change,))
    fork = ForkPlay(command, recording_of(play.facts, len(play.facts))).to_the_end()
    assert fork.executed["join"].inputs == {"n": 5}
    assert "b" in fork.adopted


def test_a_goal_of_the_group_may_have_a_barrier_above_it_and_fail() -> None:
    group = Group(id="g", items="${a.output.l}", needs=("a",), goal="side", tasks=(task("x"),))
    join = task("join", "g", "b", barrier=Barrier(at_least=1))
    play = begin(Plan(goals=(GoalSpec(id="side"),), tasks=(*ABC[:2], join), groups=(group,)))
    succeed(play, "a", {"l": "no list"})
    assert goal_status(play, "g") is GoalStatus.FAILED
    succeed(play, "b")
    succeed(play, "join")
    assert play.state.status is MissionStatus.COMPLETED


@pytest.mark.parametrize(
    "fields",
    [{}, {"rest": "cancel"}, {"at_least": 2, "then_at_least": 0}, {"at_least": 1, "until_s": 5, "then_at_least": 2}],
)
def test_parts_of_a_barrier_that_do_not_go_together_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Barrier(**fields)


def test_a_barrier_can_be_written_and_read_again() -> None:
    for barrier in (Barrier(at_least=2), Barrier(until_s=5), _from_start()):
        assert Barrier.model_validate_json(barrier.model_dump_json()) == barrier
