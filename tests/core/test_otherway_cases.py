"""Another way for tasks that are stuck, one by one: what is asked, what is done instead, and how that ends."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.mission import MissionStatus, TaskStatus
from orchestrator.core.parts import MOST_DEEP
from orchestrator.core.replanning import no_way, replanned, stuck_tasks
from orchestrator.planning import check_plan, load_template
from schemas.attempts import Failure
from schemas.commands import ForkMission, RetryMission
from schemas.errors import InvalidWorkflow
from schemas.events.action import ActionRefused
from schemas.events.attempt import AttemptFinished
from schemas.events.mission import MissionCompleted
from schemas.events.task import TaskCancelled, TaskFailed, TaskReady
from schemas.events.world import WorldViolated
from schemas.expectations import Violation
from schemas.plan import GoalSpec, Plan, RecoveryRule, TaskSpec
from stigmergy.missions import mission_view
from tests.core.fork_play import ForkPlay, recording_of
from tests.core.mission_play import Play
from tests.core.test_mission_cases import begin, of, status, succeed, task

SMALLER = (RecoveryRule(do="smaller_step"),)
HALVES = (
    TaskSpec(id="one", skill="s", inputs={"of": "${a.output.n}"}),
    TaskSpec(id="two", skill="s", inputs={"first": "${one.output.n}"}, needs=("one",)),
)


def play(*rules: RecoveryRule, **changes: Any) -> Play:
    rules = rules or SMALLER
    middle = task("t", "a", recover=rules, **changes)
    made = begin(Plan(tasks=(task("a"), middle, task("after", "t", inputs={"got": "${t.output.n}"}))))
    succeed(made, "a", {"n": 5})
    return made


def violate(made: Play, name: str = "t") -> None:
    violation = Violation(kind="exit_code", message="exit code 1", category="test_failed")
    attempt = made.state.tasks[name].attempt
    made.put(WorldViolated(task=name, attempt=attempt, violations=(violation,)))
    made.advance(cut=False)


def fail(made: Play, name: str) -> None:
    failure = Failure(code="x", message="no good")
    made.put(AttemptFinished(task=name, attempt=1, worker="w", outcome="failed", failure=failure))
    made.advance(cut=False)


def instead(made: Play, *parts: TaskSpec, name: str = "t") -> None:
    made.decided(replanned(made.state, made.state.tasks[name], parts, "p"))
    made.advance(cut=False)


def ready(made: Play, name: str) -> TaskReady:
    return [event for event in of(made, TaskReady) if event.task == name][-1]


def test_what_needs_it_and_refers_to_it_goes_on_when_what_stands_for_it_has_succeeded() -> None:
    made = play()
    violate(made)
    assert status(made, "t") is TaskStatus.STUCK
    assert stuck_tasks(made.state) == ["t"]
    instead(made, *HALVES)
    assert status(made, "t") is TaskStatus.REPLACED
    first = ready(made, "t~1.one")
    assert (first.inputs, first.feedback[0].message) == ({"of": 5}, "exit code 1")
    succeed(made, "t~1.one", {"n": 1})
    assert ready(made, "t~1.two").inputs == {"first": 1}
    assert status(made, "after") is TaskStatus.WAITING
    succeed(made, "t~1.two", {"n": 2})
    assert status(made, "t") is TaskStatus.SUCCEEDED
    assert ready(made, "after").inputs == {"got": 2}
    succeed(made, "after")
    assert of(made, MissionCompleted)
    view = {one.id: one for one in mission_view(made.state, 0).tasks}
    assert list(view) == ["a", "t", "t~1.one", "t~1.two", "after"]
    assert (view["t"].replaced_by, view["t~1.one"].part_of) == (("t~1.one", "t~1.two"), "t")
    assert made.state.goals["mission"].total == 3  # no goal counts what is done instead


def test_where_there_is_no_other_way_it_fails_with_both_reasons() -> None:
    made = play()
    violate(made)
    made.decided(no_way(made.state.tasks["t"], "Thinker", "knows no other way"))
    made.advance(cut=False)
    failure = of(made, TaskFailed)[0].failure
    assert failure.message == "exit code 1; the planner Thinker knows no other way"
    assert made.state.status is MissionStatus.FAILED


def test_it_is_asked_as_often_as_the_rule_says_and_then_the_next_rule_holds() -> None:
    made = play(RecoveryRule(do="smaller_step", times=2), RecoveryRule(do="ask"))
    violate(made)
    instead(made, *HALVES)
    fail(made, "t~1.one")
    assert status(made, "t") is TaskStatus.STUCK
    assert "t~1.one failed" in made.state.tasks["t"].reason
    instead(made, TaskSpec(id="one", skill="s"), TaskSpec(id="two", skill="s", needs=("one",)))
    assert ready(made, "t~2.one")
    fail(made, "t~2.one")
    assert status(made, "t") is TaskStatus.ASKING


def test_what_is_still_open_of_it_is_stopped_when_it_cannot_end_well() -> None:
    made = play()
    violate(made)
    parts = (TaskSpec(id="x", skill="s"), TaskSpec(id="y", skill="s"), TaskSpec(id="z", skill="s", needs=("x", "y")))
    instead(made, *parts)
    fail(made, "t~1.x")
    assert {event.task for event in of(made, TaskCancelled)} >= {"t~1.y"}
    assert made.state.status is MissionStatus.FAILED
    made.ask(RetryMission(id="again", mission="m"))
    made.advance(cut=False)
    assert ready(made, "t").attempt == 2  # in its own way first
    assert status(made, "t~1.x") is TaskStatus.FAILED


def test_a_refused_intent_is_a_question_too_and_asked_once() -> None:
    made = play(RecoveryRule(category="timeout", do="fail"))
    failure = Failure(code="invalid_input", message="no such parameter")
    made.put(ActionRefused(task="t", attempt=1, failure=failure))
    made.advance(cut=False)
    assert status(made, "t") is TaskStatus.STUCK
    instead(made, TaskSpec(id="other", skill="u"))
    made.put(ActionRefused(task="t~1.other", attempt=1, failure=failure))
    made.advance(cut=False)
    assert stuck_tasks(made.state) == ["t~1.other"]  # another task, another question
    made.decided(no_way(made.state.tasks["t~1.other"], "p", "knows no other way"))
    made.advance(cut=False)
    assert of(made, TaskFailed)[-1].task == "t"


def test_steps_do_not_get_smaller_for_ever() -> None:
    made, name = play(), "t"
    for _ in range(MOST_DEEP):
        violate(made, name)
        instead(made, TaskSpec(id="x", skill="s", recover=SMALLER), name=name)
        name = f"{name}~1.x"
    violate(made, name)
    assert of(made, TaskFailed)[0].task == name
    assert "3 steps down" in of(made, TaskFailed)[0].failure.message


def test_a_fork_takes_over_what_was_replaced_as_the_one_task_that_it_was() -> None:
    made = play()
    violate(made)
    instead(made, *HALVES)
    succeed(made, "t~1.one", {"n": 1})
    succeed(made, "t~1.two", {"n": 2})
    succeed(made, "after")
    command = ForkMission(id="f", mission="f", origin="m", at=len(made.facts), rerun=("after",))
    fork = ForkPlay(command, recording_of(made.facts, len(made.facts))).to_the_end()
    assert set(fork.adopted) == {"a", "t"}
    assert fork.adopted["t"].output == {"n": 2}
    assert set(fork.executed) == {"after"}
    assert "t~1.one" not in fork.state.tasks


def test_a_goal_that_is_given_up_takes_what_is_done_instead_with_it() -> None:
    goals = (GoalSpec(id="g", optional=True),)
    made = begin(Plan(goals=goals, tasks=(task("t", goal="g", recover=SMALLER), task("bad", goal="g"), task("c"))))
    violate(made)
    instead(made, TaskSpec(id="x", skill="s"))
    fail(made, "bad")
    assert {event.task for event in of(made, TaskCancelled)} == {"t", "t~1.x"}
    succeed(made, "c")
    assert made.state.status is MissionStatus.COMPLETED


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "0 tasks instead of one"),
        ((TaskSpec(id="x", skill="s"), TaskSpec(id="y", skill="s")), "2 of them are needed by no other: x, y"),
        ((TaskSpec(id="x", skill="s", needs=("x",)),), "a cycle"),
        ((TaskSpec(id="x", skill="s", needs=("a",)),), "'x' needs 'a', which is none of them"),
        ((TaskSpec(id="x.y", skill="s"),), "'x.y' cannot be a name"),
        ((TaskSpec(id="x" * 99, skill="s"),), "has more than 100 characters"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(parts: tuple[TaskSpec, ...], message: str) -> None:
    made = play()
    violate(made)
    with pytest.raises(InvalidWorkflow) as caught:
        replanned(made.state, made.state.tasks["t"], parts, "p")
    assert message in caught.value.message


HEAD = "workflow: w\ntasks:\n  a: {skill: s}\n"


def test_a_template_says_what_is_done_instead_and_needs_follow_from_references() -> None:
    text = (
        HEAD + "  t:\n    skill: s\n    recover: [{do: smaller_step}]\n    smaller_step:\n"
        "      one: {skill: s, inputs: {x: '${a.output.n}'}}\n"
        "      two: {skill: s, inputs: {y: '${one.output.n}'}}\n"
        "    otherwise: {plain: {skill: u}}\n"
    )
    by_name = {one.id: one for one in load_template(text, "w.yaml").plan({}).tasks}
    assert by_name["t"].needs == ("a",)
    assert [part.needs for part in by_name["t"].smaller_step] == [(), ("one",)]
    check_plan(Plan(tasks=tuple(by_name.values())))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{one: {skill: s}, two: {skill: s}}", "5:19: 2 of them are needed by no other: one, two"),
        ("{a: {skill: s}}", "5:20: 'a' cannot be used here: something else is called so"),
        ("{one: {skill: s, needs: [a]}}", "'one' needs 'a', which is none of the tasks done instead of 't'"),
        ("{one: {skill: s, goal: mission}}", "task 'one' is done instead of another one, and has no 'goal'"),
        ("{one: {skill: s, inputs: {x: '${tow.output}'}}}", "nothing is called 'tow' here"),
        ("{one: {skill: s, needs: [two]}, two: {skill: s, needs: [one]}}", "a cycle, in which each needs the next"),
        ("{one: {skil: s}}", "task 'one' has no key 'skil'"),
    ],
)
def test_a_template_is_told_what_is_wrong_with_it(line: str, message: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(f"{HEAD}  t:\n    smaller_step: {line}\n    skill: s\n", "w.yaml")
    assert message in caught.value.message
