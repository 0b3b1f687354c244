"""From what a task wants to what is done: parameters filled in from the situation, refused where they do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.task_queue.intents import Known, action_for, registered
from orchestrator.task_queue.intents.run_tests import LONG_S
from schemas.errors import InvalidInput
from schemas.events.action import ActionDispatched, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskReady
from schemas.expectations import Observation, TestsNoWorse
from schemas.parameters import Parameters
from tests.core.test_task_queue_floor import Bench

TREE = {"tree": "a" * 40}
NOTHING = Known()


def ready(intent: str, skill: str, workspace: Any = TREE, **inputs: Any) -> TaskReady:
    return TaskReady(task="t", attempt=1, skill=skill, intent=intent, inputs=inputs, workspace=workspace)


def test_every_intent_names_a_shape_and_a_skill() -> None:
    assert {"AnalyzeCode", "FindFlaws", "WriteCode", "RunTests", "MergeChanges", "RunCommand"} <= registered().keys()
    for intent in registered().values():
        assert issubclass(intent.parameters, Parameters)
        assert intent.skill


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (ready("WriteCode", "code"), "group: Field required"),
        (ready("WriteCode", "code", None, group={}), "has no workspace"),
        (ready("RunTests", "test", coverrage=True), "coverrage: Extra inputs"),
        (ready("RunCommand", "command", None, argv=[]), "argv"),
        (ready("RunTests", "somebody-elses", None), "has no workspace"),
    ],
)
def test_what_does_not_fit_the_tool_is_refused_with_the_reason(task: TaskReady, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        action_for(task, NOTHING)


def test_a_refusal_is_on_the_log_and_not_retried() -> None:
    bench = Bench("code")
    bench.put(ready("WriteCode", "code", wrong=1))
    (refused,) = bench.advance()
    assert isinstance(refused, ActionRefused)
    assert not refused.failure.retryable
    assert "it takes group" in refused.failure.hint


def test_words_of_ones_own_go_to_the_skill_as_they_are() -> None:
    action = action_for(ready("Ponder", "think", None, any=["thing"]), Known(expected_s=2.5))
    assert (action.tool, action.parameters, action.expected_s) == ("think", {"any": ["thing"]}, 2.5)
    assert action_for(ready("WriteCode", "my-coder", brief="x"), NOTHING).parameters == {"brief": "x"}


def parameters_of(changed: tuple[str, ...] | None, suite_s: float | None, **inputs: Any) -> dict[str, Any]:
    task = ready("RunTests", "test", **inputs).model_copy(update={"expects": (TestsNoWorse(baseline={}),)})
    return action_for(task, Known(changed=changed, suite_s=suite_s)).parameters


def test_the_affected_tests_go_first_where_the_suite_takes_long() -> None:
    assert parameters_of(("a.py",), LONG_S) == {"changed": ["a.py"], "affected_first": True}
    assert parameters_of(("a.py",), LONG_S / 2) == {}
    assert parameters_of(None, None) == {}
    assert parameters_of((), LONG_S) == {}
    assert parameters_of(("a.py",), LONG_S, affected_first=False)["affected_first"] is False, (
        "the task's own word goes first"
    )
    assert action_for(ready("RunTests", "test"), Known(changed=("a.py",), suite_s=LONG_S)).parameters == {}


def test_resources_come_with_the_intent() -> None:
    assert action_for(ready("RunTests", "test"), NOTHING).resources["memory_mb"] == 2048


def confirm(bench: Bench, task: str, skill: str, given: str, product: str, **seen: Any) -> None:
    """An attempt from ready to confirmed."""
    bench.put(TaskReady(task=task, attempt=1, skill=skill, workspace={"tree": given}))
    bench.advance()
    finished = AttemptFinished(
        task=task,
        attempt=1,
        worker="w",
        outcome="succeeded",
        product={"tree": product},
        observation=Observation(**seen),
    )
    bench.put(AttemptStarted(task=task, attempt=1, worker="w", agent="g"), finished)
    bench.advance()


def test_what_changed_since_the_tests_last_ran_is_known_from_the_log() -> None:
    bench = Bench("test", "code")
    confirm(bench, "baseline", "test", "t0", "t0", changes={}, tests={"outcome": "passed", "duration_s": 60.0})
    confirm(bench, "one", "code", "t0", "t1", changes={"a.py": "modified"})
    confirm(bench, "two", "code", "t1", "t2", changes={"b.py": "added", "a.py": "modified"})
    check = TaskReady(
        task="check",
        attempt=1,
        skill="test",
        intent="RunTests",
        workspace={"tree": "t2"},
        expects=(TestsNoWorse(baseline={}),),
    )
    bench.put(check)
    (dispatched,) = bench.advance()
    assert isinstance(dispatched, ActionDispatched)
    assert dispatched.order.action.parameters == {"changed": ["a.py", "b.py"], "affected_first": True}
    bench.put(check.model_copy(update={"task": "strange", "workspace": {"tree": "elsewhere"}}))
    (dispatched,) = bench.advance()
    assert isinstance(dispatched, ActionDispatched)
    assert dispatched.order.action.parameters == {}
