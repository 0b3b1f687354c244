"""Graphs of any shape: what goes round in a circle is refused by naming the circle, everything else is planned."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning import check_plan, derive_needs, load_template
from orchestrator.planning.graph import Ancestry, find_cycle, in_order, shown_cycle
from schemas.errors import InvalidWorkflow
from schemas.expectations import FilesChangedWithin, TestsNoWorse
from schemas.plan import GoalSpec, Group, Plan, TaskSpec


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Needs without a cycle, the names in any order."""
    count = draw(st.integers(1, 14))
    names = [f"t{n}" for n in draw(st.permutations(range(count)))]
    needs: dict[str, list[str]] = {names[0]: []}
    for at in range(1, count):
        needs[names[at]] = draw(st.lists(st.sampled_from(names[:at]), unique=True, max_size=4))
    return {name: needs[name] for name in draw(st.permutations(names))}


@st.composite
def circular_graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """A graph into which a circle of two or more names was planted."""
    needs = draw(graphs().filter(lambda graph: len(graph) > 1))
    circle = draw(st.lists(st.sampled_from(sorted(needs)), min_size=2, unique=True))
    for name, need in zip(circle, [*circle[1:], circle[0]], strict=True):
        if need not in needs[name]:
            needs[name].append(need)
    return needs


def plan_of(needs: dict[str, list[str]]) -> Plan:
    return Plan(tasks=tuple(TaskSpec(id=name, skill="s", needs=tuple(need)) for name, need in needs.items()))


def text_of(needs: dict[str, list[str]]) -> str:
    """A template in which every second need is only a reference."""
    lines = ["workflow: w", "tasks:"]
    for name, all_needs in needs.items():
        references = ", ".join(f'{need}: "${{{need}.output}}"' for need in all_needs[::2])
        lines.append(f"  {name}: {{skill: s, needs: [{', '.join(all_needs[1::2])}], inputs: {{{references}}}}}")
    return "\n".join(lines) + "\n"


def circle_in(message: str) -> list[str]:
    found = re.search(r"a cycle, in which each needs the next: (.*)", message)
    assert found is not None, message
    return found[1].split(" -> ")


@settings(max_examples=50)
@given(graphs())
def test_what_has_no_circle_is_planned(needs: dict[str, list[str]]) -> None:
    check_plan(plan_of(needs))
    plan = load_template(text_of(needs), "w.yaml").plan({})
    assert {task.id: sorted(task.needs) for task in plan.tasks} == {name: sorted(need) for name, need in needs.items()}


@settings(max_examples=50)
@given(circular_graphs())
def test_a_planted_circle_is_always_found_and_is_a_real_one(needs: dict[str, list[str]]) -> None:
    for attempt in (lambda: check_plan(plan_of(needs)), lambda: load_template(text_of(needs), "w.yaml")):
        with pytest.raises(InvalidWorkflow) as caught:
            attempt()
        circle = circle_in(caught.value.message)
        if not any(step.startswith("(") for step in circle):
            assert circle[0] == circle[-1]
            assert all(need in needs[name] for name, need in pairwise(circle))


@given(graphs())
def test_order_and_ancestry_agree_with_the_needs(needs: dict[str, list[str]]) -> None:
    order = in_order(needs)
    assert sorted(order) == sorted(needs)
    assert all(order.index(need) < order.index(name) for name, below in needs.items() for need in below)
    assert find_cycle(needs) is None
    ancestry = Ancestry(needs)
    above: dict[str, set[str]] = {}
    for name in order:
        above[name] = {far for need in needs[name] for far in (need, *above[need])}
    assert all(ancestry.reaches(name, other) == (other in above[name]) for name in needs for other in needs)


def test_a_long_circle_is_shown_in_part() -> None:
    circle = [*(f"t{n}" for n in range(5000)), "t0"]
    shown = shown_cycle(circle)
    assert shown.startswith("t0 -> t1 -> ")
    assert shown.endswith(" -> (4990 more) -> t4998 -> t4999 -> t0")


@pytest.mark.parametrize(("far", "limit_s"), [(False, 0.3), (True, 0.6)], ids=["direct", "far references"])
def test_five_thousand_tasks_are_checked_in_a_blink(far: bool, limit_s: float) -> None:
    def task(n: int) -> TaskSpec:
        seen = f"${{t{max(0, n - (400 if far else 1))}.output.x}}" if n else "x"
        needs = tuple(f"t{k}" for k in range(max(0, n - 3), n))
        return TaskSpec(id=f"t{n}", skill="s", needs=needs, inputs={"x": seen})

    plan = Plan(tasks=tuple(task(n) for n in range(5000)))
    took = []
    for _ in range(7):
        began = time.process_time()
        check_plan(plan)
        took.append(time.process_time() - began)
    assert min(took) < limit_s
    ring = plan.model_copy(update={"tasks": (plan.tasks[0].model_copy(update={"needs": ("t4999",)}), *plan.tasks[1:])})
    with pytest.raises(InvalidWorkflow, match="a cycle"):
        check_plan(ring)


def group(**changes: object) -> Group:
    spec = {"id": "g", "items": "${a.output}", "needs": ("a",), "tasks": (TaskSpec(id="f", skill="s"),)}
    return Group.model_validate(spec | changes)


A = TaskSpec(id="a", skill="s")
B = TaskSpec(id="b", skill="s")
CURIOUS = TaskSpec(id="f", skill="s", inputs={"x": "${b.output}"})


@pytest.mark.parametrize(
    ("plan", "said", "hint"),
    [
        (Plan(), "tasks: the workflow is empty", "at least one task"),
        (Plan(tasks=(A, A)), "tasks.a: two tasks are called 'a'", "rename one"),
        (Plan(tasks=(A,), groups=(group(), group())), "groups.g: two groups are called 'g'", "rename"),
        (Plan(tasks=(A,), goals=(GoalSpec(id="x"), GoalSpec(id="x"))), "goals.x: two goals are called 'x'", "rename"),
        (Plan(tasks=(A,), goals=(GoalSpec(id="mission"),)), "goals.mission: 'mission' cannot be used here", "rename"),
        (Plan(tasks=(A,), goals=(GoalSpec(id="x", parent=None),)), "goals.x.parent: goal 'x' has no parent", "mission"),
        (Plan(tasks=(A,), goals=(GoalSpec(id="x", parent="y"),)), "goals.x.parent: no goal is called 'y'", "'x'"),
        (Plan(tasks=(A,), goals=(GoalSpec(id="g"),), groups=(group(),)), "groups.g: 'g' cannot be used here", "rename"),
        (Plan(tasks=(A,), groups=(group(goal="x"),)), "groups.g.goal: no goal is called 'x'", "mission"),
        (Plan(tasks=(A,), groups=(group(needs=()),)), "groups.g.for_each: ${a.output}: 'g' does not need 'a'", "add"),
        (
            Plan(tasks=(A, TaskSpec(id="b", skill="s", workspace="${a.workspace}"))),
            "tasks.b.workspace: ${a.workspace}: 'b' does not need 'a'",
            "add 'a' to its needs",
        ),
        (
            Plan(tasks=(A,), groups=(group(tasks=(TaskSpec(id="f", skill="s", needs=("a",)),)),)),
            "groups.g.tasks.f.needs.0: 'f' needs 'a', which is outside of group 'g'",
            "groups.g.needs: [a]",
        ),
        (
            Plan(tasks=(A, B), groups=(group(tasks=(CURIOUS,)),)),
            "groups.g.tasks.f.inputs.x: ${b.output}: group 'g' does not need 'b'",
            "add 'b' to the needs of the group",
        ),
        (
            Plan(tasks=(TaskSpec(id="a", skill="s", expects=(FilesChangedWithin(patterns="src"),)),)),
            "tasks.a.expects.0.patterns: the list of patterns is 'src', not a reference",
            "write one reference",
        ),
        (
            Plan(tasks=(TaskSpec(id="a", skill="s", expects=(TestsNoWorse(baseline="green"),)),)),
            "tasks.a.expects.0.baseline: the baseline is 'green', not a reference",
            "write one reference",
        ),
        (Plan(tasks=(A,), result={"x": "${b.output}"}), "result.x: ${b.output}: nothing is called 'b' here", "'a'"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_plans_made_by_hand_are_held_to_the_same(plan: Plan, said: str, hint: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        check_plan(plan)
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_reference_may_reach_through_others() -> None:
    b = TaskSpec(id="b", skill="s", needs=("a",))
    c = TaskSpec(id="c", skill="s", needs=("b",), inputs={"x": "${a.output}", "y": "${inputs.z}"})
    check_plan(Plan(tasks=(c, b, A)))
    with pytest.raises(InvalidWorkflow, match="no input 'z' is declared"):
        check_plan(Plan(tasks=(c, b, A)), inputs=())


def test_unfolded_tasks_are_found_under_their_long_names() -> None:
    fix = TaskSpec(id="repair.b1.fix", skill="s")
    check = TaskSpec(id="repair.b1.check", skill="s", needs=(fix.id,), workspace="${repair.b1.fix.workspace}")
    check_plan(Plan(tasks=(fix, check)))


def test_needs_can_be_derived_for_a_plan_made_by_hand() -> None:
    b = TaskSpec(id="b", skill="s", inputs={"x": "${a.output} ${nobody.output}"})
    assert derive_needs(Plan(tasks=(A, b))).tasks[1].needs == ("a",)


def test_too_many_tasks_are_refused() -> None:
    plan = Plan(tasks=tuple(TaskSpec.model_construct(id=f"t{n}", skill="s") for n in range(10_001)))
    with pytest.raises(InvalidWorkflow, match="10001 tasks, more than 10000"):
        check_plan(plan)
    with pytest.raises(InvalidWorkflow, match="10001 tasks, more than 10000"):
        check_plan(Plan(groups=(group(items="${inputs.x}", needs=(), tasks=plan.tasks),)))
