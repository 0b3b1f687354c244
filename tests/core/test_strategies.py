"""Strategies: variants of a workflow, how complex each is, and which one is chosen, with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from events.commands import MemoryCommands
from events.memory import MemoryLog
from events.port import Window
from orchestrator.coordination.complexity import Complexity, complexity
from orchestrator.coordination.pace import Pace
from orchestrator.coordination.strategy import select
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission
from orchestrator.planning import TemplatePlanner, check_plan, load_template
from orchestrator.service import Orchestrator
from schemas.commands import SubmitMission
from schemas.errors import InvalidWorkflow
from schemas.events import parse
from schemas.events.attempt import AttemptFinished
from schemas.events.mission import MissionPlanned
from schemas.expectations import Observation
from schemas.ids import uuid7
from schemas.plan import Group, Plan, Strategy, StrategyName, TaskSpec

TEXT = """
workflow: pages
inputs: {pages: array}
deadline: 10m
strategies:
  hierarchical:
    tasks:
      join: {skill: join, inputs: {parts: "${each[*].write.output}"}}
    groups:
      each:
        for_each: "${inputs.pages}"
        as: page
        tasks:
          write: {skill: write, inputs: {page: "${page}"}}
    result: {text: "${join.output}"}
  peer:
    deadline: 5m
    tasks:
      write: {skill: write, inputs: {pages: "${inputs.pages}"}}
    result: {text: "${write.output}"}
"""


def chain(length: int, *, skill: str = "s") -> Plan:
    tasks = tuple(TaskSpec(id=f"t{n}", skill=skill, needs=(f"t{n - 1}",) if n else ()) for n in range(length))
    return Plan(tasks=tasks)


def fan(width: int, **fields: object) -> Plan:
    return Plan(tasks=tuple(TaskSpec.model_validate({"id": f"t{n}", "skill": "s", **fields}) for n in range(width)))


# complexity


def test_a_chain_and_a_fan() -> None:
    assert complexity(chain(5), {}) == Complexity(tasks=5, depth=5, width=1, input_bytes=2)
    assert complexity(fan(7), {}) == Complexity(tasks=7, depth=1, width=7, input_bytes=2)
    assert complexity(Plan(), {}).width == 0
    assert complexity(chain(3000), {}).depth == 3000


def test_a_group_counts_its_branches_as_far_as_they_are_known() -> None:
    plan = load_template(TEXT, "pages.yaml").plan({"pages": [1] * 9}, strategy="hierarchical")
    assert complexity(plan, {"pages": [1] * 9}).tasks == 10
    assert complexity(plan, {"pages": [1] * 9}).width == 9
    unknown = plan.model_copy(update={"groups": (plan.groups[0].model_copy(update={"items": "${join.output.x}"}),)})
    assert complexity(unknown, {}).width == 4


def test_tasks_inside_a_group_lie_one_behind_the_other() -> None:
    inner = (TaskSpec(id="a", skill="s"), TaskSpec(id="b", skill="s", needs=("a",)))
    plan = Plan(
        tasks=(TaskSpec(id="end", skill="s", needs=("g",)),),
        groups=(Group(id="g", items="${inputs.list}", tasks=inner),),
    )
    found = complexity(plan, {"list": [1, 2, 3]})
    assert (found.tasks, found.depth, found.width) == (7, 3, 3)


def test_conflicts_are_pairs_that_may_run_side_by_side_and_mean_the_same_files() -> None:
    assert complexity(fan(4, writes=("src/*.py",)), {}).conflicts == 6
    assert complexity(fan(1000, writes=("src/*.py",)), {}).conflicts == 200 * 199 / 2
    apart = Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="s", writes=(f"f{n}.py",)) for n in range(4)))
    assert (complexity(apart, {}).conflicts, complexity(apart, {}).writers) == (0, 4)
    row = chain(3)
    row = row.model_copy(update={"tasks": tuple(t.model_copy(update={"writes": ("a.py",)}) for t in row.tasks)})
    assert complexity(row, {}).conflicts == 0


def test_the_expected_time_is_that_of_the_longest_way_once_every_skill_is_known() -> None:
    pace = Pace()
    assert complexity(chain(4), {}, pace).expected_s is None
    pace.took("s", 1.0)
    pace.took("s", 2.0)
    assert complexity(chain(5), {}, pace).expected_s == pytest.approx(5 * 1.2)
    assert complexity(fan(5), {}, pace).expected_s == pytest.approx(1.2)


# the choice


def chosen(hierarchical: Complexity, peer: Complexity | None = None) -> tuple[StrategyName, str]:
    strategy = select({"hierarchical": hierarchical, "peer": peer or Complexity(tasks=1, depth=1, width=1)})
    return strategy.name, strategy.because


def test_breadth_speaks_for_a_hierarchy_and_depth_and_conflicts_for_peers() -> None:
    assert chosen(Complexity(tasks=16, depth=2, width=8))[0] == "hierarchical"
    assert chosen(Complexity(tasks=8, depth=8, width=1))[0] == "peer"
    assert chosen(Complexity(tasks=8, depth=1, width=8))[0] == "hierarchical"
    assert chosen(Complexity(tasks=8, depth=1, width=8, conflicts=28))[0] == "peer"
    assert chosen(Complexity(tasks=1, depth=1, width=1))[0] == "peer"  # nothing speaks for the larger machinery
    assert chosen(Complexity(tasks=1, depth=1, width=1, input_bytes=1 << 20))[0] == "hierarchical"


def test_the_reason_has_every_term() -> None:
    name, because = chosen(Complexity(tasks=16, depth=4, width=8, conflicts=1))
    assert (name, because) == (
        "hierarchical",
        "+2 points for hierarchical: breadth +3, size +2, depth -2, conflicts -1; its plan has 16 tasks, 8 side by "
        "side, 4 in a row, 1 expected conflicts",
    )


def test_urgency_speaks_for_what_is_over_sooner() -> None:
    even = {"tasks": 4, "depth": 4, "width": 2}  # 1 + 1 - 2
    slow, quick = Complexity(**even, expected_s=9.0, deadline_s=10.0), Complexity(expected_s=5.0, deadline_s=10.0)
    assert "urgency -2" in chosen(slow, quick)[1]
    assert "urgency +2" in chosen(Complexity(**even, expected_s=4.0, deadline_s=9.0), quick)[1]
    assert "urgency" not in chosen(Complexity(**even, expected_s=4.0, deadline_s=100.0), quick)[1]
    assert "urgency" not in chosen(Complexity(**even, deadline_s=0.1))[1]  # nobody knows how long it takes
    assert "urgency +2" in chosen(Complexity(**even, priority=9))[1]
    assert "urgency" not in chosen(Complexity(tasks=2, depth=2, width=1, priority=9))[1]


def test_one_variant_is_no_choice() -> None:
    assert select({"peer": Complexity()}).name == "peer"
    with pytest.raises(ValueError, match="between nothing"):
        select({})


# templates


def test_a_template_with_strategies_chooses_by_its_inputs_and_says_why() -> None:
    template = load_template(TEXT, "pages.yaml")
    assert template.strategies == ("hierarchical", "peer")
    assert template.skills == {"join", "write"}
    many, few = template.plan({"pages": [1] * 20}), template.plan({"pages": [1]})
    assert many.strategy is not None
    assert few.strategy is not None
    assert (many.strategy.name, many.strategy.chosen, many.deadline_s) == ("hierarchical", "auto", 600.0)
    assert (few.strategy.name, few.deadline_s) == ("peer", 300.0)
    assert "breadth +4.32" in many.strategy.because
    for plan in (many, few):
        check_plan(plan)
        assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_what_is_asked_for_goes_before_the_template() -> None:
    fixed = load_template(f"{TEXT}strategy: peer\n", "pages.yaml")
    by_template, asked = (
        fixed.plan({"pages": [1] * 20}).strategy,
        fixed.plan({"pages": []}, strategy="hierarchical").strategy,
    )
    assert by_template is not None
    assert asked is not None
    assert (by_template.name, by_template.chosen) == ("peer", "template")
    assert (asked.name, asked.chosen) == ("hierarchical", "submission")
    auto = fixed.plan({"pages": [1] * 20}, strategy="auto").strategy
    assert auto is not None
    assert auto.name == "hierarchical"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (f"{TEXT}strategy: swarm\n", 21, "there is no strategy 'swarm'"),
        (f"{TEXT}tasks: {{a: {{skill: s}}}}\n", 21, "'tasks' beside 'strategies'"),
        (TEXT.replace("  peer:", "  swarm:"), 16, "strategies has no key 'swarm'"),
        (TEXT.replace('"${write.output}"', '"${wrote.output}"'), 20, "wrote"),
        (TEXT.replace("{skill: join,", "{skil: join,"), 8, "no key 'skil'"),
        ("workflow: w\nstrategies: {}\n", 2, "there is no strategy"),
        ("workflow: w\nstrategy: peer\ntasks: {a: {skill: s}}\n", 2, "there is no strategy 'peer'"),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(text: str, line: int, says: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(text, "w.yaml")
    assert says in caught.value.message
    assert caught.value.message.startswith(f"w.yaml:{line}:")


async def test_a_strategy_that_is_not_there_is_refused() -> None:
    plain = load_template("workflow: w\ntasks: {a: {skill: s}}\n", "w.yaml")
    assert plain.plan({}, strategy="auto").strategy is None
    with pytest.raises(InvalidWorkflow, match="has no strategies"):
        plain.plan({}, strategy="peer")
    single = TEXT[: TEXT.index("  peer:")]
    planner = TemplatePlanner({"pages": load_template(single, "pages.yaml")})
    plan = await planner.plan("x", "pages", {"pages": []})
    assert plan.strategy is not None
    assert plan.strategy.because == "the workflow has no other variant"
    with pytest.raises(InvalidWorkflow, match="has no strategy 'peer'") as caught:
        await planner.plan("x", "pages", {"pages": []}, strategy="peer")
    assert caught.value.hint == "it has: hierarchical"


# the orchestrator


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_orchestrator_chooses_by_what_it_has_seen_and_obeys_the_submission() -> None:
    log = MemoryLog()
    planner = TemplatePlanner({"pages": load_template(TEXT.replace("deadline: 5m", "deadline: 90s"), "pages.yaml")})
    orchestrator = Orchestrator(
        log, MemoryCommands(), planner, name="o", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)
    )

    async def planned(mission: str, **fields: Any) -> Strategy | None:
        command = SubmitMission(
            id=uuid7(), mission=mission, objective="x", workflow="pages", inputs={"pages": [1, 2]}, **fields
        )
        reply = await orchestrator.handle(command)
        if not reply.accepted:
            return None
        [event] = [e async for e in log.read(Window((f"events.default.{mission}.mission.planned",)))]
        payload = parse(event)
        assert isinstance(payload, MissionPlanned)
        return payload.plan.strategy

    ready = asyncio.Event()
    async with asyncio.timeout(30), running(orchestrator.run(ready)):
        await ready.wait()
        unknown = await planned("m1")
        assert unknown is not None
        assert (unknown.name, "urgency" in unknown.because) == ("hierarchical", False)
        for skill, seconds in (("write", 60.0), ("join", 60.0)):
            done = AttemptFinished(
                task="t",
                attempt=1,
                worker="w",
                skill=skill,
                outcome="succeeded",
                observation=Observation(duration_s=seconds),
            )
            before = Mission(tenant="default", id="m0")
            orchestrator.desks._rules.read(before, Fact(done, datetime(2026, 1, 1, tzinfo=UTC)))
        urgent = await planned("m2")  # writing and joining take 120 s one after the other, and there are 90
        assert urgent is not None
        assert (urgent.name, "urgency -2" in urgent.because) == ("peer", True)
        asked = await planned("m3", strategy="hierarchical")
        assert asked is not None
        assert (asked.name, asked.chosen) == ("hierarchical", "submission")
        by_hand = SubmitMission(id=uuid7(), mission="m4", objective="x", plan=chain(1), strategy="peer")
        assert (await orchestrator.handle(by_hand)).reason == "a plan made by hand has no strategies"
