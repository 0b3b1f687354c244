"""The pure fold of the world: what counts, what does not, and that it agrees with the orchestrator about tasks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.evolve import evolve as decide_fold
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission as Decided
from projections.world import World, evolve, fold
from projections.world.state import KEPT_GONE, KEPT_RUNS, KEPT_WRITES, AgentStatus, TaskStatus, Tree, lineage
from projections.world.workspaces import claims_on
from schemas.budgets import Budget
from schemas.envelope import Event
from schemas.events.action import ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.fleet import FleetLost
from schemas.events.llm import LlmCompleted
from schemas.events.mission import (
    MissionCancelled,
    MissionCompleted,
    MissionFailed,
    MissionPaused,
    MissionReopened,
    MissionResumed,
)
from schemas.events.task import TaskCancelled, TaskFailed, TaskHandedOver, TaskReady, TaskRetried
from schemas.events.tool import ToolCalled
from schemas.events.worker import WorkerLeft
from schemas.events.workspace import WorkspaceConflicted
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.expectations import Observation, Violation
from schemas.handoff import HandOff
from tests.core.replay_events import recorded
from tests.core.world_events import BEGIN, ROOT, Story, failure, mixed, product, tree

A, B, C = tree(1), tree(2), tree(3)


def paths_in(story: Story, of: str) -> dict[str, str]:
    """Path to content, in a tree."""
    way = story.known.lineage(of)
    found = {path: file.within(way) for path, file in story.known.files.items()}
    return {path: write.content for path, write in found.items() if write is not None and write.change != "deleted"}


def test_a_file_changes_when_the_world_confirms_it() -> None:
    story = Story("one")
    story.begin("one")
    story.finish("one", A, {"x.py": "modified"})
    assert not story.known.files
    assert story.known.tasks["one"].status is TaskStatus.REPORTED
    story.confirm("one")
    [write] = story.known.files["x.py"].writes
    assert (write.tree, write.content, write.task, write.worker) == (A, f"x.py@{A}", "one", "w1")
    assert (story.known.state.root, story.known.state.head) == (ROOT, A)
    assert story.known.tasks["one"].word is None


def test_a_word_that_does_not_count_changes_no_file() -> None:
    story = Story("one")
    story.begin("one")
    story.tell(ActionExpired(task="one", attempt=1, worker="w1", failure=failure()))
    story.tell(TaskRetried(task="one", attempt=2, not_before=BEGIN, failure=failure()))
    story.begin("one", attempt=2)
    story.finish("one", A, {"late.py": "added"}, attempt=1, tests={"outcome": "failed"})
    story.confirm("one", attempt=1)
    assert not story.known.files
    assert story.known.state.suite is None
    assert story.known.state.budget.spent == {"seconds": 0.5}, "but it was paid for"


def test_a_violated_attempt_changes_no_file() -> None:
    story = Story("one")
    story.begin("one")
    story.finish("one", A, {"x.py": "modified"})
    story.tell(WorldViolated(task="one", attempt=1, violations=(Violation(kind="k", message="no"),)))
    story.confirm("one")
    assert not story.known.files
    assert story.known.state.violations == 1
    assert story.known.state.head == ROOT


def test_branches_write_trees_of_their_own_and_the_merge_says_what_holds() -> None:
    story = Story("left", "right", "merge")
    story.write("left", ROOT, A, {"x.py": "modified"})
    story.write("right", ROOT, B, {"x.py": "modified", "y.py": "added"})
    assert paths_in(story, A) == {"x.py": f"x.py@{A}"}
    assert paths_in(story, B) == {"x.py": f"x.py@{B}", "y.py": f"y.py@{B}"}
    story.write("merge", ROOT, C, {"x.py": "modified"})  # right was left out
    assert story.known.state.head == C
    assert paths_in(story, C) == {"x.py": f"x.py@{C}"}


def test_what_a_tree_did_not_touch_is_as_in_its_base() -> None:
    story = Story("one", "two", "three")
    story.write("one", ROOT, A, {"x.py": "added", "y.py": "added"})
    story.write("two", A, B, {"y.py": "deleted"})
    assert paths_in(story, B) == {"x.py": f"x.py@{A}"}
    story.write("three", B, A, {"y.py": "added"})  # the change is undone: the tree of before
    assert paths_in(story, A) == {"x.py": f"x.py@{A}", "y.py": f"y.py@{A}"}
    assert story.known.state.head == A


def test_what_is_built_on_is_part_of_the_tree() -> None:
    """A task that waited for others gets what they made merged into its workspace."""
    story = Story("first", "second", "third")
    story.write("first", ROOT, A, {"x.py": "added", "z.py": "added"})
    story.write("second", A, B, {"y.py": "added", "z.py": "modified"})
    story.begin("third", A, onto={"first": A, "second": B})
    story.finish("third", C, {"x.py": "modified"})
    story.confirm("third")
    assert paths_in(story, C) == {"x.py": f"x.py@{C}", "y.py": f"y.py@{B}", "z.py": f"z.py@{B}"}
    assert story.known.lineage(C) == (C, B, A, ROOT)


def test_what_did_not_fit_is_not_part_of_the_tree() -> None:
    story = Story("first", "second")
    story.write("first", ROOT, A, {"x.py": "added"})
    story.begin("second", ROOT, onto={"first": A})
    story.tell(WorkspaceConflicted(task="second", attempt=1, side="first", paths=("x.py",)))
    story.finish("second", B, {"x.py": "added"})
    story.confirm("second")
    assert story.known.lineage(B) == (B, ROOT)


def test_sides_do_not_hide_what_is_newer_below() -> None:
    """``late`` was made of ``old``; the base changed the same file since: merging takes the base's word."""
    trees = {
        "top": Tree("top", "base", "t", 1, 0, 0, 4, sides=("late",)),
        "base": Tree("base", "root", "t", 1, 0, 0, 3, sides=("old",)),
        "late": Tree("late", "old", "t", 1, 0, 0, 2),
        "old": Tree("old", "root", "t", 1, 0, 0, 1),
        "round": Tree("round", "round", "t", 1, 0, 0, 5, sides=("round", "top")),
    }
    assert lineage(trees, "top") == ("top", "late", "base", "old", "root")
    assert lineage(trees, "round") == ("round", "top", "late", "base", "old", "root")


def test_open_attempts_claim_files() -> None:
    story = Story("one", "two", "three")
    story.begin("one", patterns=("src/*",))
    story.begin("two", patterns=("docs/*", "src/a.py"))
    claims = list(story.known.claims.values())
    assert {claim.task for claim in claims_on("src/a.py", claims)} == {"one", "two"}
    assert {claim.worker for claim in claims} == {"w1"}
    story.finish("one", A, {})
    story.confirm("one")
    assert [claim.task for claim in claims_on("src/a.py", list(story.known.claims.values()))] == ["two"]
    story.begin("three", patterns=("*",), claims=("src/a.py::Money.add",))
    assert story.known.claims["three"].patterns == ("src/a.py::Money.add",)
    assert [claim.task for claim in claims_on("src/b.py", list(story.known.claims.values()))] == []
    story.tell(MissionCancelled())
    assert not story.known.claims


def report(outcome: str, **cases: str) -> dict[str, Any]:
    return {"outcome": outcome, "cases": [{"id": name, "outcome": said} for name, said in cases.items()]}


def reported(*reports: dict[str, Any]) -> Story:
    """Each report from a task of its own, all in one tree."""
    story = Story(*(f"t{number}" for number in range(len(reports))))
    for number, said in enumerate(reports):
        story.begin(f"t{number}")
        story.finish(f"t{number}", ROOT, {}, tests=said)
        story.confirm(f"t{number}")
    return story


def test_the_same_tree_with_two_outcomes_is_flaky() -> None:
    story = reported(report("passed", a="passed", b="passed"), report("failed", a="failed", b="passed"))
    a, b = story.known.tests["a"], story.known.tests["b"]
    assert (a.flaky, a.outcome, a.passed, a.failed) == (True, "failed", 1, 1)
    assert (b.flaky, b.outcome, b.passed) == (False, "passed", 2)
    assert story.known.state.suite.outcome == "failed"


def test_another_tree_with_another_outcome_is_not_flaky() -> None:
    story = Story("one", "two")
    story.begin("one")
    story.finish("one", ROOT, {}, tests=report("failed", a="failed"))
    story.confirm("one")
    story.begin("two", A)
    story.finish("two", A, {}, tests=report("passed", a="passed"))
    assert not story.known.tests["a"].flaky
    assert [run.tree for run in story.known.tests["a"].runs] == [A, ROOT]


def test_a_test_run_amid_changes_belongs_to_no_tree() -> None:
    story = Story("one")
    story.begin("one")
    story.finish("one", A, {"x.py": "modified"}, tests=report("passed", a="passed"))
    assert story.known.tests["a"].runs[0].tree == ""


def test_tests_that_a_timeout_kept_from_running_timed_out() -> None:
    story = reported(report("passed", a="passed", b="passed"), report("timeout", a="passed"))
    assert story.known.tests["b"].outcome == "timeout"
    assert story.known.tests["a"].outcome == "passed"
    assert story.known.tests["b"].flaky, "the tree was the same"


def test_histories_are_capped() -> None:
    runs = reported(*([report("passed", a="passed")] * (KEPT_RUNS + 3)))
    assert len(runs.known.tests["a"].runs) == KEPT_RUNS
    assert runs.known.tests["a"].passed == KEPT_RUNS + 3
    names = [f"t{number}" for number in range(KEPT_WRITES + 2)]
    writes = Story(*names)
    for number, name in enumerate(names):
        writes.write(name, tree(number), tree(number + 1), {"x": "modified"})
    assert len(writes.known.files["x"].writes) == KEPT_WRITES
    assert writes.known.files["x"].writes[0].tree == writes.known.state.head
    gone = Story()
    for number in range(KEPT_GONE + 5):
        gone.tell(WorkerLeft(worker=f"x{number}"), mission="_")
    assert len([agent for agent in gone.world.agents.values() if agent.status.gone]) == KEPT_GONE
    assert "x0" not in gone.world.agents


def test_a_worker_is_ready_executing_lost_and_back() -> None:
    story = Story("one", "two")
    status = lambda: story.world.agents["w1"].status  # noqa: E731
    assert status() is AgentStatus.READY
    story.begin("one")
    assert status() is AgentStatus.EXECUTING
    assert story.world.agents["w1"].running == (("m", "one", 1),)
    story.finish("one", A, {})
    story.confirm("one")
    assert status() is AgentStatus.READY
    assert story.world.agents["w1"].outcomes == {"code": (1, 0)}
    story.tell(FleetLost(worker="w1", silent_s=5), mission="_")
    assert status() is AgentStatus.LOST
    story.begin("two")
    assert status() is AgentStatus.EXECUTING
    story.tell(WorkerLeft(worker="w1"), mission="_")
    assert status() is AgentStatus.LEFT
    assert story.world.agents["w1"].running == ()


def test_what_models_and_tools_cost_is_counted_and_compared_with_the_newest_limits() -> None:
    story = Story("one")
    who: dict[str, Any] = {"task": "one", "attempt": 1}
    story.tell(LlmCompleted(**who, model="m", outcome="failed", tokens_in=10, tokens_out=5, cost_usd=0.25))
    story.tell(ToolCalled(**who, tool="sed", outcome="failed", duration_s=0.1))
    spent = {"llm_calls": 1, "tokens": 15, "tokens_in": 10, "tokens_out": 5, "cost": 0.25, "tool_calls": 1}
    assert story.known.state.budget.spent == spent
    assert story.known.state.budget.limits == {"cost": 2, "wall_s": 60}, "an input of that name is none of our business"
    story.tell(MissionPaused(), MissionResumed(budget=Budget(cost=5, tokens=100)))
    assert story.known.state.budget.limits == {"cost": 5, "tokens": 100, "wall_s": 60}


def test_draining_is_read_by_its_name() -> None:
    story = Story("one")
    for number, (kind, mission, data) in enumerate(
        (("worker.draining", "_", {"worker": "w1"}), ("who.knows", "m", {"x": 1}))
    ):
        raw = msgspec.Raw(msgspec.json.encode(data))
        event = Event(id=f"x{number}", source="/", type=kind, time="", tenant="t", mission=mission, data=raw)
        story.world = evolve(story.world, msgspec.structs.replace(event, sequence=90 + number))
    assert story.world.agents["w1"].status is AgentStatus.DRAINING
    assert story.world.unreadable == 0


def test_what_cannot_be_read_is_counted() -> None:
    story = Story("one")
    nonsense = msgspec.structs.replace(story.events[-1], type="task.ready", data=msgspec.Raw(b'{"task": 1}'))
    world = evolve(story.world, nonsense)
    assert world.unreadable == 1
    assert world.missions == story.world.missions
    strange = msgspec.structs.replace(nonsense, data=msgspec.Raw(b"[1"))
    assert evolve(world, strange).unreadable == 2


def test_tasks_are_counted_by_status_and_a_failed_mission_goes_on() -> None:
    story = Story("one", "two", "three")
    story.write("one", ROOT, A, {})
    story.begin("two", A)
    story.tell(AttemptFinished(task="two", attempt=1, worker="w1", outcome="failed", failure=failure("broken")))
    story.tell(TaskFailed(task="two", attempt=1, failure=failure()), TaskCancelled(task="three", reason="two failed"))
    story.tell(MissionFailed(failure=failure("two")))
    assert story.known.state.tasks == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert (story.known.state.status, story.known.state.reason) == ("failed", "two")
    assert story.world.agents["w1"].outcomes == {"code": (1, 1)}
    story.tell(MissionReopened(tasks=("two",)))
    assert story.known.state.tasks == {"succeeded": 1, "planned": 2}
    story.tell(TaskReady(task="two", attempt=2, skill="code"))
    story.tell(AttemptStarted(task="two", attempt=2, worker="w1", agent="coder"))
    assert story.known.tasks["two"].status is TaskStatus.RUNNING
    story.tell(MissionCompleted())
    assert story.known.state.ended_at


def test_another_tenant_moves_only_the_position() -> None:
    story = Story("one")
    foreign = msgspec.structs.replace(story.events[0], tenant="other", mission="x", sequence=99)
    after = evolve(story.world, foreign)
    assert after.position == 99
    assert after.missions is story.world.missions


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_the_orchestrator_about_every_task(seed: int) -> None:
    """The orchestrator's own fold is the oracle: after every event, the same tasks have succeeded, failed …"""
    world, decided = World("t"), Decided(tenant="t", id="m")
    for event in recorded(seed, size=7, steps=60):
        world = evolve(world, event)
        decided = decide_fold(decided, Fact.of(event))
        mission = world.missions["m"]
        ended = {name: task.status.value for name, task in decided.tasks.items() if task.status.ended}
        assert {name: task.status.value for name, task in mission.tasks.items() if task.status.ended} == ended
        assert {name: task.attempt for name, task in mission.tasks.items()} == {
            name: task.attempt for name, task in decided.tasks.items()
        }
        assert mission.state.status == decided.status.value
        assert sum(mission.state.tasks.values()) == len(decided.tasks)


HISTORIES = [mixed(seed, tenants=1, missions=2) for seed in range(3)]


@given(st.sampled_from(HISTORIES), st.data())
@settings(max_examples=20, deadline=None)
def test_a_fold_may_be_cut_anywhere(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    whole = fold(events, World("t0"))
    assert fold(events[cut:], fold(events[:cut], World("t0"))) == whole
    assert whole.position == len(events)


def test_a_product_is_a_snapshot() -> None:
    """The trees of these tests are such as workers report."""
    from schemas.workspaces import Snapshot

    assert Snapshot.model_validate(product(A)).tree == A


def test_what_is_handed_over_is_no_file_yet_and_no_outcome() -> None:
    story = Story("a")
    story.begin("a")
    story.tell(
        AttemptFinished(
            task="a",
            attempt=1,
            worker="w1",
            outcome="handed_off",
            product=product(tree(1)),
            observation=Observation(changes={"a.py": "modified"}, contents={"a.py": "1"}),
            hand_off=HandOff(to="test", why="the rest is yours"),
        ),
        WorldConfirmed(task="a", attempt=1),
        TaskHandedOver(task="a", attempt=2, giver="code", skill="test", why="the rest is yours", number=1),
    )
    task = story.known.tasks["a"]
    assert (task.status, task.skill) == (TaskStatus.RETRYING, "test")
    assert task.reason == "handed over by code: the rest is yours"
    assert not story.known.files
    assert not story.known.claims
    assert not story.world.agents["w1"].outcomes
    story.begin("a", attempt=2)
    story.finish("a", tree(2), {"a.py": "modified"}, attempt=2)
    story.confirm("a", attempt=2)
    assert story.known.files["a.py"].writes[0].tree == tree(2)
    assert story.world.agents["w1"].outcomes
