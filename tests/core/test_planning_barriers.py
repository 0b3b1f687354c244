"""Barriers in templates: what they become, and what is said of those that cannot be."""

from __future__ import annotations

import pytest

from orchestrator.planning import check_plan, load_template
from schemas.barriers import Barrier
from schemas.errors import InvalidWorkflow

ABC = "workflow: w\ntasks:\n  a: {skill: s}\n  b: {skill: s}\n"


def said(text: str) -> tuple[str, str]:
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(text, "w.yaml")
    return caught.value.message, caught.value.hint


def test_it_becomes_part_of_the_plan_and_a_number_is_short_for_at_least() -> None:
    text = (
        ABC
        + "  c: {skill: s, needs: [a, b], barrier: 1}\n"
        + "  d:\n    skill: s\n    inputs: {all: ['${a.output}', '${b.output}'], met: '${barrier.met}'}\n"
        + "    barrier: {at_least: 2, until: 10m, then_at_least: 1, since: mission, rest: cancel}\n"
        + "groups:\n  g:\n    for_each: '${a.output.l ?? b.output.l ?? []}'\n"
        + "    barrier: 1\n    tasks: {x: {skill: s}}\n"
    )
    plan = load_template(text, "w.yaml").plan({})
    by_name = {task.id: task for task in plan.tasks}
    assert by_name["c"].barrier == Barrier(at_least=1)
    assert by_name["d"].barrier == Barrier(at_least=2, until_s=600, then_at_least=1, since="mission", rest="cancel")
    assert by_name["d"].needs == ("a", "b")
    assert (plan.groups[0].barrier, plan.groups[0].needs) == (Barrier(at_least=1), ("a", "b"))


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("needs: [a], barrier: {at_last: 1}", "5:39: a barrier has no key 'at_last'", "did you mean 'at_least'?"),
        ("needs: [a], barrier: {rest: keep}", "5:38: a barrier says at_least, or until, or both", ""),
        ("needs: [a], barrier: {at_least: 1, since: mission}", "5:38: then_at_least and since only mean", ""),
        ("needs: [a], barrier: {until: soon}", "5:46: 'soon' is no duration", "write seconds"),
        ("needs: [a], barrier: {at_least: 0}", "5:49: 'at_least' is the integer 0", ""),
        ("needs: [a], barrier: {at_least: 1, rest: leave}", "5:58: 'rest' is the string 'leave'", ""),
        ("needs: [a, b], barrier: 3", "5:41: 'at_least' is 3, and 'c' needs only 2", "it needs a, b"),
        ("barrier: 1", "5:26: 'c' has a barrier and needs nothing", "say what it waits for"),
        ("barrier: [1]", "5:26: a barrier is of type array, not a mapping", ""),
        (
            "barrier: 1, inputs: {t: 'so ${a.output.t}', u: '${b.output.t}'}",
            "5:41: ${a.output.t}: behind its barrier 'a' may be missing, and 'inputs' has to be something",
            "${a.output.t ?? b.output.t}",
        ),
        ("barrier: 1, workspace: '${a.workspace}', needs: [b]", "behind its barrier 'a' may be missing", "b.workspace"),
        ("needs: [a], inputs: {m: '${barrier.met}'}", "${barrier.met}: there is no barrier here", "barrier: 2"),
        (
            "needs: [a], barrier: 1, inputs: {m: '${barrier.mt}'}",
            "a barrier has met and missing",
            "did you mean 'met'?",
        ),
        ("inputs: {m: '${a.output ?? 1 ?? 2}'}", "nothing is ever taken behind 1", "a plain value comes last"),
        ("inputs: {m: '${a.output ?? nobody.output}'}", "nothing is called 'nobody' here", ""),
        ("inputs: {m: '${a.output ?? }'}", "${} is no reference", ""),
    ],
)
def test_it_is_refused_with_place_and_mend(line: str, message: str, hint: str) -> None:
    found = said(ABC + f"  c: {{skill: s, {line}}}\n")
    assert message in found[0]
    assert hint in found[1]


def test_what_stands_behind_a_barrier_does_not_vouch_for_what_lies_before_it() -> None:
    plan = load_template(ABC + "  c: {skill: s, needs: [a, b], barrier: 1}\n  d: {skill: s, needs: [c]}\n", "w").plan(
        {}
    )

    refers = plan.tasks[3].model_copy(update={"inputs": {"x": "${a.output}"}})
    with pytest.raises(InvalidWorkflow, match="'d' does not need 'a'"):
        check_plan(plan.model_copy(update={"tasks": (*plan.tasks[:3], refers)}))
