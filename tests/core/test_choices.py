"""Parallel attempts at one thing, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.choosing import unite
from schemas.commands import RetryMission
from schemas.events.task import TaskChosen, TaskReady
from tests.core.settled_play import Drive, seen


def three(attempts: str, more: str = "") -> Drive:
    return Drive(f"""
tasks:
  fix: {{skill: code, attempts: {{parallel: 3, {attempts}}}{more}}}
  use: {{skill: code, inputs: {{n: "${{fix.output.n}}"}}}}
""")


def test_the_first_that_succeeds_is_taken_and_the_others_are_stopped() -> None:
    drive = three("pick: first")
    drive.fails("fix.1")
    drive.done("fix.3", {"n": 3}, product={"tree": "t3"})
    chosen = drive.said(TaskChosen)[0]
    assert (chosen.winner, chosen.pick) == ("fix.3", "first")
    assert {one.task: one.why for one in chosen.others} == {
        "fix.1": "failed: it broke",
        "fix.2": "it is no longer needed",
    }
    assert drive.cancelled() == {"fix.2": "no longer needed: fix is settled"}
    finished = drive.state.tasks["fix"].finished
    assert finished is not None
    assert (finished.task, finished.output, finished.product) == ("fix", {"n": 3}, {"tree": "t3"})
    assert drive.said(TaskReady)[-1].inputs == {"n": 3}
    drive.done("use")
    assert drive.state.status == "completed"


def test_a_violated_attempt_never_wins() -> None:
    drive = three("pick: first")
    drive.violated("fix.1", {"n": 1})
    assert drive.said(TaskChosen) == []
    drive.done("fix.2", {"n": 2})
    assert drive.said(TaskChosen)[0].winner == "fix.2"


def test_the_best_by_score_is_taken_and_of_equals_the_first() -> None:
    drive = three("pick: best, score: output.n")
    drive.done("fix.3", {"n": 5})
    drive.done("fix.2", {"n": 5})
    assert drive.said(TaskChosen) == []
    drive.done("fix.1", {"n": "many"})
    chosen = drive.said(TaskChosen)[0]
    assert (chosen.winner, chosen.score) == ("fix.2", 5.0)
    assert {one.task: (one.score, one.why) for one in chosen.others} == {
        "fix.1": (None, "no score: 'output.n' is 'many', which is no number"),
        "fix.3": (5.0, "its score is 5"),
    }


def test_a_score_may_be_what_the_system_saw() -> None:
    drive = three("pick: best, score: '-duration_s'")
    for number, seconds in ((1, 3.0), (2, 1.0), (3, 2.0)):
        drive.done(f"fix.{number}", {"n": number}, observation=seen(duration_s=seconds))
    assert drive.said(TaskChosen)[0].winner == "fix.2"


def test_nothing_is_taken_that_has_no_score() -> None:
    drive = three("pick: best, score: output.n")
    for number in (1, 2, 3):
        drive.done(f"fix.{number}", {})
    assert drive.status("fix") == "failed"
    assert "nothing has a score" in drive.state.tasks["fix"].reason


def test_what_most_agree_on_is_taken_as_soon_as_it_is_certain() -> None:
    drive = three("pick: vote, agree: n")
    drive.done("fix.2", {"n": 7, "by": "two"})
    assert drive.said(TaskChosen) == []
    drive.done("fix.3", {"n": 7, "by": "three"})
    chosen = drive.said(TaskChosen)[0]
    assert (chosen.winner, chosen.why) == ("fix.2", "2 of 3 agree")
    assert list(drive.cancelled()) == ["fix.1"]


def test_equal_outputs_and_trees_agree() -> None:
    drive = three("pick: vote, at_least: 2")
    drive.done("fix.1", {"n": 1, "m": [1]}, product={"tree": "a", "packs": ["p1"], "files": 1, "size_bytes": 1})
    drive.done("fix.2", {"n": 1, "m": [2]}, product={"tree": "a", "packs": ["p2"], "files": 1, "size_bytes": 1})
    drive.done("fix.3", {"m": [2], "n": 1}, product={"tree": "a", "packs": ["p3"], "files": 1, "size_bytes": 1})
    assert drive.said(TaskChosen)[0].winner == "fix.2"


def test_where_too_few_agree_it_fails_and_a_retry_asks_all_anew() -> None:
    drive = three("pick: vote, at_least: 2")
    for number in (1, 2, 3):
        drive.done(f"fix.{number}", {"n": number})
    assert drive.status("fix") == "failed"
    assert "at most 1 of 3 agree" in drive.state.tasks["fix"].reason
    drive.ask(RetryMission(id="r", mission="m"))
    for number in (1, 2):
        drive.done(f"fix.{number}", {"n": 9})
    assert drive.output("fix") == {"n": 9}


def test_lists_are_united() -> None:
    drive = three("pick: merge, at_least: 2")
    drive.done("fix.1", {"n": 1, "found": ["a", "b"]})
    drive.done("fix.2", {"n": 2, "found": ["b", "c"]})
    drive.fails("fix.3")
    output = drive.output("fix")
    assert (output["n"], output["found"]) == (1, ["a", "b", "c"])
    assert [part["task"] for part in output["parts"]] == ["fix.1", "fix.2"]
    assert [one.task for one in drive.said(TaskChosen)[0].others] == ["fix.3"]


def test_file_trees_are_merged_by_a_task() -> None:
    drive = three("pick: merge", ', workspace: "${inputs.workspace}"')
    drive.done("fix.1", {"n": 1, "found": [1]}, product={"tree": "t1"})
    drive.done("fix.2", {"n": 1, "found": [2]}, product={"tree": "t2"})
    drive.fails("fix.3")
    merge = drive.said(TaskReady)[-1]
    assert (merge.task, merge.skill, merge.intent) == ("fix.merge", "integrate", "MergeChanges")
    assert merge.inputs == {"sides": [{"tree": "t1"}, {"tree": "t2"}], "names": ["fix.1", "fix.2"]}
    drive.done("fix.merge", {"kept": ["fix.1", "fix.2"]}, product={"tree": "merged"})
    finished = drive.state.tasks["fix"].finished
    assert finished is not None
    assert (finished.output["found"], finished.product) == ([1, 2], {"tree": "merged"})
    drive.done("use")
    assert drive.state.status == "completed"


def test_a_merge_that_fails_fails_the_whole_and_only_it_is_made_again() -> None:
    drive = three("pick: merge", ', workspace: "${inputs.workspace}"')
    for number in (1, 2, 3):
        drive.done(f"fix.{number}", {"n": 1}, product={"tree": f"t{number}"})
    drive.fails("fix.merge")
    assert "fix.merge: it broke" in drive.state.tasks["fix"].reason
    before = len(drive.said(TaskReady))
    drive.ask(RetryMission(id="r", mission="m"))
    assert [event.task for event in drive.said(TaskReady)[before:]] == ["fix.merge"]


def test_reviewers_choose_by_ballot() -> None:
    drive = three("pick: ballot, ballot: {voters: [review, review, review], rule: plurality}")
    for number in (1, 2):
        drive.done(f"fix.{number}", {"n": number})
    drive.fails("fix.3")
    voter = drive.said(TaskReady)[-1]
    assert voter.inputs["options"] == ["fix.1", "fix.2"]
    assert [one["output"] for one in voter.inputs["candidates"]] == [{"n": 1}, {"n": 2}]
    drive.done("fix.ballot.1", {"choice": "fix.2", "reason": "shorter"})
    drive.done("fix.ballot.3", {"choice": "fix.2"})
    assert drive.output("fix") == {"n": 2}
    assert drive.status("fix.ballot.2") == "cancelled"
    drive.done("use")
    assert drive.state.status == "completed"


def test_when_none_succeeds_it_fails_once_and_a_retry_tries_all_again() -> None:
    drive = three("pick: first")
    for number in (1, 2, 3):
        drive.fails(f"fix.{number}")
    assert drive.status("fix") == "failed"
    assert drive.state.failure is not None
    assert drive.state.failure.message.startswith("task fix: none of 3 succeeded: fix.1 failed: it broke")
    assert drive.state.goals["mission"].failures == 1  # that of fix; its members' are its own business
    drive.ask(RetryMission(id="r", mission="m"))
    assert [drive.status(f"fix.{number}") for number in (1, 2, 3)] == ["ready"] * 3
    drive.done("fix.2", {"n": 1})
    drive.done("use")
    assert drive.state.status == "completed"


def test_what_was_not_needed_stays_so_when_something_else_is_retried() -> None:
    drive = three("pick: first")
    drive.fails("fix.1")
    drive.done("fix.2", {"n": 1})
    drive.fails("use")
    assert drive.state.status == "failed"
    drive.ask(RetryMission(id="r", mission="m"))
    assert {name: drive.status(name) for name in ("fix", "fix.1", "fix.2", "fix.3", "use")} == {
        "fix": "succeeded", "fix.1": "failed", "fix.2": "succeeded", "fix.3": "cancelled", "use": "ready"
    }  # fmt: skip


def test_what_needs_come_to_nothing_is_skipped_as_a_whole() -> None:
    drive = Drive("""
goals: {most: {error_threshold: 9}}
tasks:
  look: {skill: analyze, goal: most}
  fix: {skill: code, goal: most, inputs: {n: "${look.output.n}"}, attempts: 2}
""")
    drive.fails("look")
    assert {drive.status(name) for name in ("fix", "fix.1", "fix.2")} == {"skipped"}


def test_a_branch_whose_parallel_attempts_did_not_all_succeed_counts() -> None:
    drive = Drive("""
tasks:
  list: {skill: analyze}
groups:
  each:
    for_each: "${list.output.items}"
    tasks:
      fix:
        skill: code
        inputs: {it: "${item}"}
        attempts: {parallel: 2, pick: ballot, ballot: {voters: [review]}}
      check: {skill: test, inputs: {n: "${fix.output.n}"}}
result: {all: "${each[*].check.output.n}"}
""")
    drive.done("list", {"items": ["x"]})
    drive.fails("each.x.fix.1")
    drive.done("each.x.fix.2", {"n": 4})
    assert drive.said(TaskReady)[-1].inputs["options"] == ["each.x.fix.2"]
    drive.done("each.x.fix.ballot.1", {"choice": "each.x.fix.2"})
    assert drive.said(TaskReady)[-1].inputs == {"n": 4}
    drive.done("each.x.check", {"n": 4})
    assert drive.state.status == "completed"
    assert drive.state.result == {"all": [4]}


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ([1, 2], [2, 3], [1, 2, 3]),
        ({"a": [1], "b": 1}, {"a": [2], "c": 2}, {"a": [1, 2], "b": 1, "c": 2}),
        ([{"x": 1}], [{"x": 1}, {"x": 2}], [{"x": 1}, {"x": 2}]),
        ("one", "other", "one"),
        ([1], "other", [1]),
    ],
)
def test_two_values_become_one(one: Any, other: Any, both: Any) -> None:
    assert unite(one, other) == both
