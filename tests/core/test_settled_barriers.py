"""Barriers and parallel attempts together: who begins with less than everything, and what a barrier counts."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidWorkflow
from tests.core.settled_play import Drive, plan_of


def test_a_choice_behind_a_barrier_is_made_once_its_attempts_have_come_to_something() -> None:
    drive = Drive("""
tasks:
  a: {skill: s}
  b: {skill: s}
  fix: {skill: code, needs: [a, b], barrier: {at_least: 1, rest: cancel}, attempts: 2}
  use: {skill: s, needs: [fix]}
""")
    assert drive.status("fix.1") == "waiting"
    drive.done("a")
    names = ("b", "fix", "fix.1", "fix.2")
    assert [drive.status(name) for name in names] == ["cancelled", "waiting", "ready", "ready"]
    drive.done("fix.2", {"n": 1})
    assert [drive.status(name) for name in ("fix", "fix.1", "use")] == ["succeeded", "cancelled", "ready"]
    drive.done("use")
    assert drive.state.status == "completed"


def test_what_can_never_begin_behind_its_barrier_is_skipped_as_a_whole() -> None:
    drive = Drive("""
goals: {most: {error_threshold: 9}}
tasks:
  a: {skill: s, goal: most}
  b: {skill: s, goal: most}
  fix: {skill: code, goal: most, needs: [a, b], barrier: 1, attempts: 2}
""")
    drive.fails("a")
    drive.fails("b")
    assert {drive.status(name) for name in ("fix", "fix.1", "fix.2")} == {"skipped"}


def test_a_choice_behind_a_barrier_begins_when_its_time_has_passed() -> None:
    drive = Drive("""
tasks:
  a: {skill: s}
  b: {skill: s}
  fix: {skill: code, needs: [a, b], barrier: {until: 5s, since: mission, then_at_least: 1}, attempts: 2}
""")
    drive.done("a")
    assert drive.status("fix.1") == "waiting"
    drive.wait(6)
    assert drive.status("fix.1") == "ready"
    drive.done("fix.1", {"n": 1})
    assert [drive.status(name) for name in ("fix", "fix.2", "b")] == ["succeeded", "cancelled", "ready"]


def test_a_branch_counts_for_a_barrier_although_an_attempt_in_it_was_not_needed() -> None:
    drive = Drive("""
tasks:
  look: {skill: s}
  use: {skill: s, needs: [each], barrier: 1}
groups:
  each: {for_each: "${look.output.items}", tasks: {x: {skill: s, attempts: 2}}}
""")
    drive.done("look", {"items": ["p", "q"]})
    drive.done("each.p.x.1", {"n": 1})
    assert [drive.status(f"each.p.{name}") for name in ("x", "x.2")] == ["succeeded", "cancelled"]
    assert [drive.status(name) for name in ("use", "each.q.x.1")] == ["ready", "ready"]


def test_a_vote_behind_a_barrier_is_opened_with_what_is_there() -> None:
    drive = Drive("""
tasks:
  a: {skill: s}
  b: {skill: s}
  pick: {needs: [a, b], barrier: 1, vote: {question: "?", options: [x, y], voters: [{skill: review, count: 2}]}}
""")
    drive.done("a")
    assert [drive.status(name) for name in ("pick", "pick.1", "b")] == ["voting", "ready", "ready"]
    drive.done("pick.1", {"choice": "x"})
    drive.done("pick.2", {"choice": "x"})
    assert drive.status("pick") == "succeeded"


def test_attempts_in_a_workspace_are_not_put_together_behind_a_barrier() -> None:
    with pytest.raises(InvalidWorkflow, match="behind a barrier, attempts in a workspace cannot have pick: merge"):
        plan_of("""
tasks:
  a: {skill: s}
  b: {skill: s}
  fix:
    {skill: code, needs: [a, b], barrier: 1, workspace: "${inputs.workspace}", attempts: {parallel: 2, pick: merge}}
""")
