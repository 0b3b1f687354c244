"""Templates with votes and parallel attempts: what they become, and what is said of those that are wrong."""

from __future__ import annotations

import pytest

from orchestrator.planning import check_plan, load_template
from schemas.ballots import ChoiceSpec, Quorum, VoteSpec
from schemas.errors import InvalidWorkflow
from schemas.plan import Plan, TaskSpec


def plan_of(text: str) -> Plan:
    plan = load_template(f"workflow: w\ninputs: {{workspace: object}}\ntasks:\n{text}", "w.yaml").plan(
        {"workspace": {}}
    )
    check_plan(plan)
    return plan


def tasks_of(text: str) -> dict[str, TaskSpec]:
    return {task.id: task for task in plan_of(text).tasks}


def test_a_vote_becomes_a_ballot_and_the_tasks_that_vote() -> None:
    tasks = tasks_of("""
  list: {skill: analyze}
  choose:
    title: Choose
    vote:
      question: Which?
      options: "${list.output.options}"
      voters: [{skill: review, count: 2}, {skill: security, weight: 2, inputs: {deep: true}}, {person: ann}, {agent: x}]
      rule: two_thirds
      quorum: 60%
      deadline: 10m
      undecided: ask
    timeout: 2m
  use: {skill: code, inputs: {how: "${choose.output.choice}"}}
""")
    vote = tasks["choose"].settle
    assert isinstance(vote, VoteSpec)
    assert [(one.name, one.kind, one.weight) for one in vote.electorate] == [
        ("choose.1", "task", 1), ("choose.2", "task", 1), ("choose.3", "task", 2),
        ("ann", "person", 1), ("x", "agent", 1),
    ]  # fmt: skip
    assert (vote.rule, vote.quorum, vote.deadline_s, vote.undecided) == ("two_thirds", Quorum(share=0.6), 600, "ask")
    voter = tasks["choose.3"]
    assert (voter.skill, voter.member_of, voter.needs, voter.timeout_s) == ("security", "choose", ("list",), 120)
    assert voter.inputs == {"question": "Which?", "options": "${list.output.options}", "deep": True}
    assert tasks["choose"].needs == ("list",)
    assert tasks["use"].needs == ("choose",)


@pytest.mark.parametrize(
    ("written", "quorum"),
    [("2", Quorum(members=2)), ("50%", Quorum(share=0.5)), ("2/3", Quorum(share=0.666667)), ("0.5", Quorum(share=0.5)),
     ("{share: 50%, members: 3}", Quorum(share=0.5, members=3))],
)  # fmt: skip
def test_a_quorum_is_written_in_several_ways(written: str, quorum: Quorum) -> None:
    tasks = tasks_of(f"  v: {{vote: {{question: Q, options: [a, b], voters: review, quorum: {written}}}}}\n")
    settle = tasks["v"].settle
    assert isinstance(settle, VoteSpec)
    assert settle.quorum == quorum


def test_parallel_attempts_become_tasks_and_a_choice() -> None:
    tasks = tasks_of("""
  look: {skill: analyze}
  fix:
    skill: code
    inputs: {about: "${look.output.it}"}
    attempts: {parallel: 3, pick: best, score: output.score, skills: [code, careful]}
  plain: {skill: code, attempts: 2}
""")
    assert [tasks[f"fix.{number}"].skill for number in (1, 2, 3)] == ["code", "careful", "code"]
    assert tasks["fix"].settle == ChoiceSpec(of=("fix.1", "fix.2", "fix.3"), pick="best", score="output.score")
    assert tasks["fix"].needs == ("look",)
    assert tasks["plain"].settle == ChoiceSpec(of=("plain.1", "plain.2"), pick="first")


def test_a_merge_of_file_trees_is_a_task_of_its_own() -> None:
    tasks = tasks_of('  m: {skill: code, workspace: "${inputs.workspace}", attempts: {parallel: 2, pick: merge}}\n')
    assert tasks.keys() == {"m", "m.1", "m.2", "m.parts", "m.merge"}
    assert tasks["m.merge"].needs == ("m.parts",)
    assert tasks["m.1"].member_of == "m.parts"
    assert tasks["m.parts"].member_of == "m"
    assert tasks_of("  m: {skill: code, attempts: {parallel: 2, pick: merge}}\n").keys() == {"m", "m.1", "m.2"}


def test_reviewers_may_choose_by_ballot() -> None:
    tasks = tasks_of("  r: {skill: code, attempts: {parallel: 2, pick: ballot, ballot: {voters: [review, review]}}}\n")
    assert tasks.keys() == {"r", "r.1", "r.2", "r.parts", "r.ballot", "r.ballot.1", "r.ballot.2"}
    vote = tasks["r.ballot"].settle
    assert isinstance(vote, VoteSpec)
    assert vote.options == "${r.parts.output.parts[*].task}"
    assert tasks["r.ballot.1"].inputs["candidates"] == "${r.parts.output.parts}"


def test_both_may_stand_in_a_group() -> None:
    plan = plan_of("""
  list: {skill: analyze}
groups:
  each:
    for_each: "${list.output.items}"
    tasks:
      fix: {skill: code, inputs: {it: "${item}"}, attempts: {parallel: 2, pick: ballot, ballot: {voters: [review]}}}
      check: {skill: test, inputs: {n: "${fix.output.n}"}}
""")
    names = [task.id for task in plan.groups[0].tasks]
    assert names == ["fix", "fix.1", "fix.2", "fix.parts", "fix.ballot", "fix.ballot.1", "check"]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{skill: s, vote: {question: Q, options: [a], voters: [s]}}", "is a vote, and nobody executes that"),
        ("{vote: {question: Q, options: [a]}}", "has no 'voters'"),
        ("{vote: {options: [a], voters: [s]}}", "has no 'question'"),
        ("{vote: {question: Q, options: [a], voters: []}}", "nobody votes"),
        ("{vote: {question: Q, options: [a], voters: [{skill: s, person: p}]}}", "one of skill, person, agent"),
        ("{vote: {question: Q, options: [a], voters: [{skill: s, count: 0}]}}", "no number of voters"),
        ("{vote: {question: Q, options: [a], voters: [{skill: s, weight: -1}]}}", "no weight"),
        ("{vote: {question: Q, options: [a, a], voters: [s]}}", "each may be there once"),
        ("{vote: {question: Q, options: [a], voters: [s], rule: most}}", "'rule' is"),
        ("{vote: {question: Q, options: [a], voters: [s], quorum: 120%}}", "is no quorum"),
        ("{vote: {question: Q, options: [a], voters: [s], undecided: status_quo}}", "no 'status_quo'"),
        (
            "{vote: {question: Q, options: [a], voters: [s], undecided: status_quo, status_quo: z}}",
            "none of the options",
        ),
        ("{vote: {question: Q, options: '${v.output.x}', voters: [s]}}", "refers to itself"),
        ("{skill: s, attempts: 0}", "no number of attempts"),
        ("{skill: s, attempts: {parallel: 2, pick: worst}}", "'pick' is"),
        ("{skill: s, attempts: {parallel: 2, pick: best}}", "a score belong together"),
        ("{skill: s, attempts: {parallel: 2, pick: best, score: 'import os'}}", "not a condition"),
        ("{skill: s, attempts: {parallel: 2, pick: ballot}}", "a ballot belong together"),
        ("{skill: s, attempts: {parallel: 2, skills: []}}", "no list of skills"),
        ("{skill: s, inputs: {x: '${v.output.n}'}, attempts: 2}", "cycle"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(task: str, said: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        plan_of(f"  v: {task}\n")
    assert said in str(caught.value)
    assert "w.yaml:4:" in str(caught.value)


def test_owners_and_members_of_a_plan_made_by_hand_must_fit_together() -> None:
    choice = ChoiceSpec(of=("a", "b"), pick="first")
    plan = Plan(tasks=(TaskSpec(id="c", skill="", settle=choice), TaskSpec(id="a", skill="s"),))  # fmt: skip
    with pytest.raises(InvalidWorkflow) as caught:
        check_plan(plan)
    assert "'b', which is not there" in str(caught.value)
    assert "'a' does not know that it is a member" in str(caught.value)
    with pytest.raises(InvalidWorkflow, match="either a skill or members"):
        check_plan(Plan(tasks=(TaskSpec(id="c", skill=""),)))
