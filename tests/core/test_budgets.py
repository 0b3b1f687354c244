"""Budgets: what is one, what counts, when a mission is held, and how it goes on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.forking import fork, recall
from orchestrator.core.mission import Mission, MissionStatus
from orchestrator.planning import load_template
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.floor import Floor
from schemas.budgets import UNITS, Budget, budget_of, told
from schemas.commands import ForkMission, PauseMission, ResumeMission, SubmitMission, command_json, parse_command
from schemas.errors import InvalidCommand, InvalidInput, InvalidWorkflow, Refused
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.mission import MissionCompleted, MissionPaused, MissionPlanned, MissionReopened, MissionResumed
from schemas.events.spending import spent_after
from schemas.events.tool import ToolCalled
from schemas.events.world import WorldTripped
from schemas.expectations import Observation
from schemas.plan import Plan, TaskSpec
from schemas.safety import Safety
from stigmergy.cli.budgeting import limits_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = (TaskSpec(id="a", skill="s"), TaskSpec(id="b", skill="s", needs=("a",)))


def asked(cost: float = 0.0, tokens: int = 0, outcome: Any = "succeeded", attempt: int = 1) -> LlmCompleted:
    return LlmCompleted(task="a", attempt=attempt, model="m", cost_usd=cost, tokens_in=tokens, outcome=outcome)


def took(seconds: float) -> AttemptFinished:
    return AttemptFinished(
        task="a", attempt=1, worker="w", outcome="failed", observation=Observation(duration_s=seconds)
    )


CALLED = ToolCalled(task="a", attempt=1, tool="sed", outcome="failed", duration_s=0.1)


class Told:
    """One mission as both deciders fold it."""

    def __init__(self, planned: Budget, safety: Safety | None = None, **said: Any) -> None:
        self.mission, self.floor, self.facts = Mission(tenant="t", id="m"), Floor("t", "m"), list[Fact]()
        plan = Plan(tasks=TASKS, budget=planned, safety=safety or Safety())
        self.ask(SubmitMission(id="c0", mission="m", objective="o", plan=plan, **said), plan)

    def put(self, payload: Payload, cause: str = "") -> None:
        fact = Fact(payload, NOW, len(self.facts) + 1, f"e{len(self.facts)}", cause)
        self.facts.append(fact)
        self.mission, self.floor = evolve(self.mission, fact), floors.evolve(self.floor, fact)

    def ask(self, command: Any, plan: Plan | None = None) -> list[Payload]:
        payloads = decide(self.mission, command, NOW, plan=plan)
        for payload in payloads:
            self.put(payload, command.id)
        return payloads

    def resume(self, number: int, **limits: Any) -> list[Payload]:
        return self.ask(ResumeMission(id=f"r{number}", mission="m", budget=Budget(**limits)))

    def trip(self) -> WorldTripped:
        """Record what the manager finds broken, and what the orchestrator makes of it."""
        breach = self.floor.guard.breach
        assert breach is not None
        self.put(breach)
        for payload in advance(self.mission, NOW):
            self.put(payload)
        return breach


# what is a budget


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"apples": 3}, "there is no budget of 'apples'"),
        ({"cost": -1}, "a budget of -1 cost cannot be"),
        ({"cost": 0}, "a budget of 0 cost cannot be"),
        ({"cost": nan}, "a budget of nan cost cannot be"),
        ({"cost": inf}, "a budget of inf cost cannot be"),
        ({"cost": "2"}, "a budget of '2' cost cannot be"),
        ({"cost": True}, "a budget of True cost cannot be"),
        ({"tokens": 1.5}, "a budget of 1.5 tokens cannot be"),
        ({"tokens": 10**30}, f"a budget of {10**30} tokens cannot be"),
    ],
)  # fmt: skip
def test_what_is_no_budget_is_refused_with_the_unit(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match="^" + message.replace("+", r"\+")) as caught:
        budget_of(limits)
    assert caught.value.hint
    with pytest.raises(ValidationError):
        SubmitMission(id="c", mission="m", objective="o", workflow="w", budget=limits)


def test_a_budget_that_comes_over_the_wire_is_checked_as_well() -> None:
    good = SubmitMission(id="c", mission="m", objective="o", workflow="w", budget=Budget(cost=2.5, tokens=9))
    assert parse_command(command_json(good)) == good
    for wrong in (b'{"cost":"2"}', b'{"cost":-1}', b'{"tokens":true}', b'{"apples":1}'):
        with pytest.raises(InvalidCommand):
            parse_command(command_json(good).replace(b'{"cost":2.5,"tokens":9}', wrong))


def test_what_is_said_on_a_command_line() -> None:
    assert limits_of(["cost=2.50", "tokens=200000"]) == {"cost": 2.5, "tokens": 200_000}
    for wrong in (["cost"], ["cost="], ["cost=much"], ["cost=1", "cost=2"], ["cost=nan"], ["=3"], ["tokens=2e5"]):
        with pytest.raises(InvalidInput) as caught:
            limits_of(wrong)
        assert caught.value.hint


def test_a_template_has_one_and_says_what_is_wrong_with_it() -> None:
    head = "workflow: w\ntasks:\n  a: {skill: s}\n"
    template = load_template(head + "budget: {cost: 2.5, llm_calls: 40}\n", "w.yaml")
    assert template.plan({}).budget == Budget(cost=2.5, llm_calls=40)
    for line, message in (
        ("budget: {price: 3}", "budget has no key 'price'"),
        ("budget: {cost: -3}", "'cost' is the integer -3: input should be greater than 0"),
        ("budget: {tokens: 1.5}", "'tokens' is the number 1.5"),
        ("budget: 3", "budget is the integer 3, not a mapping"),
    ):
        with pytest.raises(InvalidWorkflow, match=message):
            load_template(f"{head}{line}\n", "w.yaml")


def test_the_page_about_budgets_has_examples_that_load() -> None:
    page = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    plans = [load_template(text, "x.yaml").plan({}) for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)]
    assert [plan.safety != Safety() for plan in plans] == [True, False]
    assert set(plans[1].budget.limits) == set(UNITS)
    assert all(f"`{unit}`" in page for unit in UNITS)
    assert [limits_of(re.findall(r"--budget (\S+)", line)) for line in page.splitlines() if "--budget" in line] == [
        {"cost": 2.5, "tokens": 200_000},
        {"cost": 5},
    ]


def test_people_are_told_in_their_numbers() -> None:
    spent = {"cost": 2.534, "tokens": 1200, "seconds": 3.25}
    assert told(("cost",), {"cost": 2.5}, spent) == "cost 2.53 of 2.50"
    assert told(("tokens", "seconds", "llm_calls"), {}, spent) == "tokens 1,200, seconds 3.2, llm_calls 0"
    assert told(("cost",), {"cost": 0.001}, {"cost": 0.0012}) == "cost 0.0012 of 0.001"


# what counts


def test_everything_on_record_counts_whatever_became_of_it() -> None:
    spent: dict[str, float] = {}
    for payload in (asked(0.1, 10), asked(0.2, 5, "failed", attempt=7), CALLED, took(1.5), MissionCompleted()):
        spent = spent_after(spent, payload)
    assert spent == {"llm_calls": 2, "cost": 0.3, "tokens": 15, "tokens_in": 15, "tool_calls": 1, "seconds": 1.5}


@pytest.mark.parametrize("seconds", [nan, -5.0, inf, 1e300])
def test_nonsense_does_not_upset_the_count(seconds: float) -> None:
    spent = spent_after(spent_after({}, took(seconds)), asked(tokens=10**400))
    assert all(amount == amount and amount < inf for amount in spent.values())
    assert spent_after(spent, took(1.0))["seconds"] >= 1.0


# when it is held


@pytest.mark.parametrize(
    ("budget", "facts", "message"),
    [
        (Budget(cost=2.5), (asked(1.5), asked(1.03)), "cost 2.53 of 2.50"),
        (Budget(cost=2.5), (asked(1.5), asked(1.0)), "cost 2.50 of 2.50"),
        (Budget(cost=2.5), (asked(1.5), asked(0.99)), None),
        (Budget(tokens=10), (asked(tokens=9), asked(tokens=3)), "tokens 12 of 10"),
        (Budget(llm_calls=2), (asked(), asked()), "llm_calls 2 of 2"),
        (Budget(tool_calls=2), (CALLED, CALLED), "tool_calls 2 of 2"),
        (Budget(seconds=2), (took(1.0), took(1.5)), "seconds 2.5 of 2.0"),
        (Budget(cost=1, tokens=5), (asked(1.0, 5),), "cost 1.00 of 1.00, tokens 5 of 5"),
        (Budget(), (asked(1e9, 10**9), took(1e9)), None),
    ],
)
def test_a_mission_is_held_when_a_limit_is_reached(
    budget: Budget, facts: tuple[Payload, ...], message: str | None
) -> None:
    told = Told(budget)
    for payload in facts:
        assert told.floor.guard.breach is None
        told.put(payload)
    breach = told.floor.guard.breach
    assert (breach.message if breach else None) == message
    if breach is not None:
        told.trip()
        assert told.mission.status is MissionStatus.PAUSED
        assert told.mission.reason == f"budget_exceeded: {message}" == told.floor.guard.tripped


def test_it_is_held_once_whatever_is_spent_while_it_is_stopping() -> None:
    told = Told(Budget(cost=1))
    told.put(asked(1.2))
    breach = told.floor.guard.breach
    told.put(asked(0.3))
    assert told.floor.guard.breach == breach, "what is decided already stays as it was decided"
    told.trip()
    told.put(asked(0.2, attempt=2))
    assert told.floor.guard.breach is None
    assert [fact.payload.TYPE for fact in told.facts].count("world.tripped") == 1


def test_what_comes_after_the_end_holds_nothing() -> None:
    told = Told(Budget(cost=1))
    told.put(MissionCompleted())
    told.put(asked(2.0))
    assert told.floor.guard.breach is None


def test_a_submission_has_the_last_word_unit_by_unit() -> None:
    told = Told(Budget(cost=1, tokens=50), budget=Budget(cost=4, llm_calls=3))
    assert told.mission.limits == told.floor.guard.limits == {"cost": 4, "tokens": 50, "llm_calls": 3}
    planned = told.facts[1].payload
    assert isinstance(planned, MissionPlanned)
    assert planned.plan.budget == Budget(cost=4, tokens=50, llm_calls=3), "and it is on record"


def test_people_are_warned_once_of_each_limit() -> None:
    told = Told(Budget(cost=1, tokens=10))

    def due() -> dict[str, float] | None:
        warning = told.floor.guard.warning
        return None if warning is None else warning.limits

    told.put(asked(0.79))
    assert due() is None
    told.put(asked(0.01))
    assert due() == {"cost": 1}
    assert told.floor.guard.breach is None
    first = told.floor.guard.warning
    assert first is not None
    assert first.message == "cost 0.80 of 1.00"
    told.put(asked(0.05, 9))
    assert due() == {"cost": 1, "tokens": 10}
    told.put(first)  # somebody has decided it before that
    assert due() == {"tokens": 10}
    told.put(asked(0.05))
    assert due() == {"tokens": 10}
    assert told.floor.guard.warning is not None
    told.put(told.floor.guard.warning)
    assert due() is None
    told.ask(PauseMission(id="p", mission="m"))
    told.resume(1, cost=1.1)
    assert due() == {"cost": 1.1}
    told.put(asked(5.0))
    assert (due(), told.trip().spent) == (None, {"cost": 5.9})


# how it goes on


def test_it_goes_on_with_more_and_with_nothing_less() -> None:
    told = Told(Budget(cost=1, tokens=50))
    told.put(asked(1.2))
    told.trip()
    for limits in ({}, {"tokens": 900}, {"cost": 1.1}, {"cost": 1.2}):
        with pytest.raises(Refused, match=r"the budget is spent: cost 1\.20 of ") as caught:
            told.resume(1, **limits)
        assert "--budget cost=MORE" in caught.value.hint
    assert told.resume(1, cost=2) == [MissionResumed(budget=Budget(cost=2))]
    assert told.mission.status is MissionStatus.RUNNING
    assert told.mission.limits == told.floor.guard.limits == {"cost": 2, "tokens": 50}
    assert not told.floor.guard.tripped
    assert told.floor.guard.breach is None
    assert told.resume(1, cost=2) == [], "a command that comes again is carried out once"
    told.put(asked(0.8))
    assert told.trip().message == "cost 2.00 of 2.00", "what was spent stays spent"


def test_it_trips_again_if_more_was_spent_than_who_resumed_it_knew() -> None:
    told = Told(Budget(cost=1))
    told.put(asked(1.2))
    told.trip()
    told.put(asked(3.0))
    told.resume(1, cost=2)
    assert told.trip().message == "cost 4.20 of 2.00"
    assert told.mission.status is MissionStatus.PAUSED
    with pytest.raises(Refused, match=r"cost 4\.20 of 4\.00"):
        told.resume(2, cost=4)


def test_a_budget_that_was_spent_while_a_person_had_paused_it_holds_it_as_well() -> None:
    told = Told(Budget(cost=1))
    told.ask(PauseMission(id="p", mission="m", reason="lunch"))
    told.put(asked(1.2))
    told.trip()
    assert told.mission.reason == "lunch"
    with pytest.raises(Refused, match="the budget is spent"):
        told.resume(1)


def test_of_a_running_mission_the_budget_is_changed_by_a_pause() -> None:
    told = Told(Budget(cost=1))
    with pytest.raises(Refused, match="is running") as caught:
        told.resume(1, cost=2)
    assert "stig mission pause" in caught.value.hint
    assert told.resume(2) == []
    told.ask(PauseMission(id="p", mission="m"))
    told.resume(3, cost=2, seconds=60)
    assert told.mission.limits == {"cost": 2, "seconds": 60}
    told.put(asked(1.5))
    assert told.floor.guard.breach is None


def test_a_safety_constraint_comes_first_and_does_not_hide_the_budget() -> None:
    told = Told(Budget(tool_calls=1), Safety(forbidden_commands=("rm",)))
    told.put(CALLED.model_copy(update={"parameters": {"argv": ["rm", "x"]}}))
    assert told.trip().reason.startswith("safety: ")
    told.resume(1)
    assert told.trip().reason == "budget_exceeded: tool_calls 1 of 1"


def test_a_mission_that_is_reopened_is_held_before_it_begins_anything() -> None:
    told = Told(Budget(cost=1))
    told.put(asked(1.2))
    told.trip()
    told.put(MissionReopened(tasks=("a",)))
    assert told.floor.guard.breach is not None
    assert told.floor.guard.breach.message == "cost 1.20 of 1.00"


def test_a_fork_begins_with_the_newest_limits_and_nothing_spent() -> None:
    told = Told(Budget(cost=1, tokens=50))
    told.put(asked(1.2))
    told.trip()
    before = len(told.facts)
    told.resume(1, cost=9)
    for at, cost in ((before, 1), (before + 1, 9)):
        command = ForkMission(id="f", mission="n", origin="m", at=at)
        origin = recall(Mission(tenant="t", id="m"), ((fact.sequence, fact) for fact in told.facts), at)
        made, floor = Mission(tenant="t", id="n"), Floor("t", "n")
        for number, payload in enumerate(fork(command, origin, NOW)):
            fact = Fact(payload, NOW, number + 1, f"f{number}", "f")
            made, floor = evolve(made, fact), floors.evolve(floor, fact)
        assert made.limits == floor.guard.limits == {"cost": cost, "tokens": 50}
        assert (made.exhausted, floor.guard.total, made.status) == ({}, {}, MissionStatus.RUNNING)
        own = fork(command.model_copy(update={"plan": Plan(tasks=TASKS)}), origin, NOW)[-1]
        assert isinstance(own, MissionPlanned)
        assert own.plan.budget == Budget(), "a plan of one's own says itself what may be spent"


def test_what_is_paused_before_its_trip_is_read_is_held_by_both() -> None:
    """A pause and a resumption that the manager has not read yet do not let a mission slip through."""
    told = Told(Budget(cost=1))
    told.put(asked(1.2))
    breach = told.floor.guard.breach
    assert breach is not None
    told.put(MissionPaused())
    told.put(MissionResumed())
    assert told.floor.guard.breach == breach.model_copy(update={"task": "", "attempt": 0})
    told.trip()
    assert told.mission.status is MissionStatus.PAUSED
