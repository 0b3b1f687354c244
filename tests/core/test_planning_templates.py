"""Templates that are right: what they become, and what their inputs may be."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.planning import Planner, TemplatePlanner, builtin_templates, check_plan, load_template
from orchestrator.planning.shorthand import duration, expectation
from schemas.errors import InvalidWorkflow
from schemas.expectations import ExitCode, FilesChangedWithin, FilesUnchanged, MaxDuration, OutputHas, TestsNoWorse
from schemas.plan import Plan

FULL = """
workflow: full
title: Everything there is
inputs:
  repo: {type: object}
  depth: {type: integer, default: 2}
  note: {type: string, required: false}
  anything: any
deadline: 1.5h
goals:
  one: {title: One, deadline: 10m, optional: true}
  two: {parent: one, error_threshold: 3}
tasks:
  a:
    {skill: s, intent: I, title: T, goal: two, priority: 9, timeout: 250ms, workspace: "${inputs.repo}",
     inputs: {deep: [{x: "${inputs.depth}"}]}, retry: {max_attempts: 5, delay: 1s, max_delay: 1m, on_violation: true}}
  b: {skill: s, needs: a, retry: 1, expects: tests_pass, writes: "src/*", on_conflict: serialise}
  c: {skill: s, needs: [b], inputs: {x: "text ${a.output.y} ${g[*].f.output.z} ${g[0].item}"}}
groups:
  g:
    for_each: "${b.output.list}"
    as: thing
    tasks:
      f: {skill: s, writes: "${thing.files}", inputs: {it: "${thing.x}", other: "${a.tests.passed}"}}
      h: {skill: t, needs: [f, b], workspace: "${f.workspace}"}
result: {all: "${g[*].item}", c: "${c.output}"}
"""


def test_every_field_finds_its_place() -> None:
    template = load_template(FULL, "full.yaml")
    plan = template.plan({"repo": {}, "anything": 1})
    a, b, c = plan.tasks
    assert (a.skill, a.intent, a.title, a.goal, a.priority, a.timeout_s) == ("s", "I", "T", "two", 9, 0.25)
    assert a.inputs == {"deep": [{"x": "${inputs.depth}"}]}
    assert (a.retry.max_attempts, a.retry.delay_s, a.retry.max_delay_s, a.retry.on_violation) == (5, 1.0, 60.0, True)
    assert (b.needs, b.retry.max_attempts, b.expects[0].kind) == (("a",), 1, "tests_pass")
    assert (a.writes, a.on_conflict) == ((), "merge")
    assert (b.writes, b.on_conflict) == (("src/*",), "serialise")
    assert plan.groups[0].tasks[0].writes == "${thing.files}"
    assert plan.deadline_s == 5400
    assert [(g.id, g.parent, g.optional, g.error_threshold, g.deadline_s) for g in plan.goals] == [
        ("one", "mission", True, 0, 600.0),
        ("two", "one", False, 3, None),
    ]
    assert plan.groups[0].variable == "thing"
    assert plan.result == {"all": "${g[*].item}", "c": "${c.output}"}
    assert set(c.needs) == {"a", "b", "g"}
    assert template.skills == {"s", "t"}


def test_needs_follow_from_references_and_outer_ones_go_to_the_group() -> None:
    group = load_template(FULL, "full.yaml").plan({"repo": {}, "anything": 1}).groups[0]
    assert set(group.needs) == {"a", "b"}
    assert {task.id: task.needs for task in group.tasks} == {"f": (), "h": ("f",)}


def test_a_plan_survives_json_and_the_hand_check() -> None:
    for template, inputs in (
        (load_template(FULL, "f"), {"repo": {}, "anything": 1}),
        (builtin_templates()["hello"], {}),
    ):
        plan = template.plan(inputs)
        again = Plan.model_validate_json(plan.model_dump_json())
        assert again == plan
        check_plan(again)


def test_defaults_are_filled_in_and_twice_changes_nothing() -> None:
    template = load_template(FULL, "full.yaml")
    once = template.complete({"repo": {"id": 1}, "anything": [1]})
    assert once == {"repo": {"id": 1}, "anything": [1], "depth": 2, "note": None}
    assert template.complete(once) == once


def test_a_default_is_not_shared_between_missions() -> None:
    hello = builtin_templates()["hello"]
    hello.complete({})["names"].append("Mallory")
    assert hello.complete({})["names"] == ["Ada", "Grace", "Barbara"]


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ({}, "input 'repo' is missing", "type object"),
        ({"repo": {}, "anything": 1, "dept": 1}, "no input 'dept' is declared", "did you mean 'depth'?"),
        ({"repo": {}, "anything": 1, "depth": "3"}, "input 'depth' is the string '3', not of type integer", "integer"),
        ({"repo": {}, "anything": 1, "depth": True}, "input 'depth' is the boolean True, not of type integer", ""),
        ({"repo": [], "anything": 1}, "input 'repo' is of type array, not of type object", ""),
        ({"repo": None, "anything": 1}, "input 'repo' is null, not of type object", ""),
    ],
)
def test_inputs_are_checked_against_the_declaration(inputs: dict[str, Any], message: str, hint: str) -> None:
    template = load_template(FULL, "full.yaml")
    for use in (template.plan, template.complete):
        with pytest.raises(InvalidWorkflow) as caught:
            use(inputs)
        assert f"workflow 'full': {message}" in caught.value.message
        assert hint in caught.value.hint


def test_an_unknown_skill_is_refused_where_it_stands() -> None:
    template = load_template("workflow: w\ntasks:\n  a: {skill: tset}\n  b: {skill: code}\n", "w.yaml")
    with pytest.raises(InvalidWorkflow) as caught:
        template.plan({}, known_skills={"test", "code"})
    assert caught.value.message == "w.yaml:3:14: no worker has the skill 'tset'"
    assert caught.value.hint == "did you mean 'test'?"
    with pytest.raises(InvalidWorkflow) as caught:
        template.plan({}, known_skills=["paint", "cook"])
    assert "there is 'cook', 'paint'" in caught.value.hint
    assert template.plan({}, known_skills=None) == template.plan({}, known_skills={"tset", "code"})


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), (1.5, 1.5), ("250ms", 0.25), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)],
)
def test_durations(written: object, seconds: float) -> None:
    assert duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "m", "-1s", -1, 0, "0s", True, None, [], "1w", "1e3", float("nan"), "10 minutes"]
)
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(InvalidWorkflow, match=r"no duration|no time"):
        duration(written)


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("files_unchanged", FilesUnchanged()),
        ("exit_code", ExitCode()),
        ({"exit_code": 3}, ExitCode(code=3)),
        ({"tests_no_worse": "${a.tests}"}, TestsNoWorse(baseline="${a.tests}")),
        ({"output_has": "patch"}, OutputHas(keys=("patch",))),
        ({"output_has": ["a", "b"]}, OutputHas(keys=("a", "b"))),
        ({"max_duration": "2m"}, MaxDuration(seconds=120)),
        ({"files_changed_within": "src/*"}, FilesChangedWithin(patterns=("src/*",))),
        ({"files_changed_within": "${g.files}", "at_least": 1}, FilesChangedWithin(patterns="${g.files}", at_least=1)),
        ({"kind": "files_changed_within", "patterns": ["a"]}, FilesChangedWithin(patterns=("a",))),
        ({"files_unchanged": None}, FilesUnchanged()),
    ],
)
def test_short_and_full_forms_of_expectations(written: object, made: object) -> None:
    assert expectation(written) == made


async def test_the_planner_fills_in_templates() -> None:
    planner: Planner = TemplatePlanner(builtin_templates(), known_skills={"echo"})
    inputs = planner.complete("hello", {"greeting": "Moin"})
    assert inputs["greeting"] == "Moin"
    plan = await planner.plan("greet them", "hello", inputs)
    assert [task.id for task in plan.tasks] == ["gather", "summary"]
    with pytest.raises(InvalidWorkflow, match="no workflow is called 'hallo'") as caught:
        await planner.plan("greet them", "hallo", {})
    assert caught.value.hint == "did you mean 'hello'?"
    with pytest.raises(InvalidWorkflow, match="no worker has the skill 'analyze'"):
        await planner.plan("repair it", "repair", {"workspace": {}})


def test_the_builtin_repair_is_the_graph_it_should_be() -> None:
    plan = builtin_templates()["repair"].plan({"workspace": {"digest": "x"}})
    assert {task.id: set(task.needs) for task in plan.tasks} == {
        "baseline": set(),
        "analyze": {"baseline"},
        "integrate": {"repair", "baseline"},
        "verify": {"integrate", "baseline"},
    }
    (group,) = plan.groups
    assert (group.optional_branches, set(group.needs), group.items) == (
        True,
        {"baseline", "analyze"},
        "${analyze.output.groups}",
    )
    assert {task.id: task.needs for task in group.tasks} == {"fix": (), "check": ("fix",)}
    integrate = plan.tasks[2]
    assert integrate.inputs["sides"] == "${repair[*].fix.workspace}"
    assert integrate.inputs["groups"] == "${repair[*].item}"


def test_aliases_stand_for_what_they_name() -> None:
    text = "workflow: w\ntasks:\n  a: {skill: s, retry: &r {max_attempts: 7}}\n  b: {skill: s, retry: *r}\n"
    assert [task.retry.max_attempts for task in load_template(text, "w").plan({}).tasks] == [7, 7]
