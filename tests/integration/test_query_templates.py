"""Every template over the real way: log, sink, engine, NATS or HTTP; against answers that plain Python computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from projections.analytics.queries.registry import templates
from tests.integration.query_bench import Bench, bench, needs_chdb
from tests.integration.query_history import MINE, SINCE, THEIRS, Judge, nearest_rank

needs_chdb()
NEAR = 0.02
"""Sketches are within 1.5 % of the exact value."""


@pytest.fixture(scope="module", params=["service", "server"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("query"), request.param) as running:
        yield running


@pytest.fixture(params=sorted(SINCE))
def judge(made: Bench, request: pytest.FixtureRequest) -> Judge:
    return Judge(made.facts, SINCE[request.param])


def test_every_template_answers_each_tenant_with_its_own_rows_only(made: Bench) -> None:
    missions = {
        tenant: sorted({f.mission for f in made.facts if f.tenant == tenant and f.type == "attempt.finished"})
        for tenant in (MINE, THEIRS)
    }
    for name in templates():
        for tenant, other in ((MINE, THEIRS), (THEIRS, MINE)):
            given: dict[str, str] = {"mission": missions[tenant][0]} if name == "tasks" else {"since": "begin"}
            answer = made.ask(name, tenant=tenant, **given, **({"by": "mission"} if name == "costs" else {}))
            assert answer, name
            said = {value for row in answer for value in row.values() if isinstance(value, str)}
            assert not said & set(missions[other]), name
        nothing = made.ask(name, tenant="nobody", **given)
        assert not any(value for row in nothing for key, value in row.items() if key != "stage"), name
    stolen = made.ask("tasks", tenant=THEIRS, mission=missions[MINE][0])
    assert stolen == []


def test_the_latest_time_that_may_be_written_is_no_earlier_one(made: Bench) -> None:
    """Seconds in 32 bits begin anew in February 2106: what ended then would be asked for up to 1970."""
    for name, one in templates().items():
        names = {parameter.name: parameter.kind for parameter in one.parameters}
        if "until" in names:
            given = {"since": "begin"} | ({"bucket": "366d"} if "bucket" in names else {})
            answer = made.ask(name, until="2106-01-01T00:00Z", **given)
            assert answer, name
            assert answer == made.ask(name, until="2030-01-01T00:00Z", **given), name
            if name != "funnel":  # its stages are always told
                assert made.ask(name, since="2105-12-31T23:59:30Z", until="2106-01-01T00:00Z") == [], name


@pytest.mark.parametrize(
    ("by", "bucket", "seconds"), [("type", "hour", 3600), ("noun", "5m", 300), ("all", "day", 86_400)]
)
def test_trends(made: Bench, judge: Judge, by: str, bucket: str, seconds: int) -> None:
    names = {"type": lambda kind: kind, "noun": lambda kind: kind.split(".")[0], "all": lambda _: "all"}
    answer = made.ask("trends", by=by, bucket=bucket, **judge.window)
    assert {(row["time"], row["name"]): row["events"] for row in answer} == judge.trends(names[by], seconds)
    assert [(row["time"], row["name"]) for row in answer] == sorted((row["time"], row["name"]) for row in answer)


def test_trends_of_some_types(made: Bench, judge: Judge) -> None:
    answer = made.ask("trends", type="attempt.", bucket="day", **judge.window)
    counted = Counter(fact.type for fact in judge.minutes if fact.type.startswith("attempt."))
    totals: Counter[str] = Counter()
    for row in answer:
        totals[row["name"]] += row["events"]
    assert totals == counted


def test_throughput(made: Bench, judge: Judge) -> None:
    answer = made.ask("throughput", bucket="hour", **judge.window)
    types = Counter(fact.type for fact in judge.minutes)
    assert sum(row["events"] for row in answer) == len(judge.minutes)
    for column, kind in (("attempts", "attempt.finished"), ("missions_submitted", "mission.submitted")):
        assert sum(row[column] for row in answer) == types[kind]
    assert all(row["events_per_s"] == pytest.approx(row["events"] / 3600, abs=6e-4) for row in answer)


@pytest.mark.parametrize(
    ("name", "kind", "key", "count"),
    [("agents", "attempt.finished", "agent", "attempts"), ("workers", "attempt.finished", "worker", "attempts"),
     ("tools", "tool.called", "tool", "calls")],
)  # fmt: skip
def test_performance(made: Bench, judge: Judge, name: str, kind: str, key: str, count: str) -> None:
    groups = judge.groups(kind, key)
    answer = made.ask(name, **judge.window)
    assert {row[key] for row in answer} == set(groups)
    for row in answer:
        ended = groups[row[key]]
        errors = sum(each["outcome"] in ("failed", "timed_out") for each in ended)
        took = [each.get("duration_s", each.get("observation", {}).get("duration_s")) for each in ended]
        assert (row[count], row["errors"]) == (len(ended), errors)
        assert row["errors_pct"] == pytest.approx(100 * errors / len(ended), abs=0.006)
        assert row["busy_s"] == pytest.approx(sum(took), abs=1e-4)
        for column, level in (("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99)):
            below, above = nearest_rank(took, level - 1 / len(took)), nearest_rank(took, level + 1 / len(took))
            assert below * (1 - NEAR) <= row[column] <= above * (1 + NEAR), column


def test_agents_of_one_skill(made: Bench, judge: Judge) -> None:
    [row] = made.ask("agents", skill="edit", **judge.window)
    assert (row["agent"], row["attempts"]) == ("editor", len(judge.groups("attempt.finished", "skill")["edit"]))


def test_slowest(made: Bench, judge: Judge) -> None:
    ended = [fact for fact in judge.hours if fact.type == "attempt.finished"]
    expected = sorted(((f.data["observation"]["duration_s"], f.mission, f.data["task"]) for f in ended), reverse=True)
    answer = made.ask("slowest", limit=15, **judge.window)
    assert [(row["duration_s"], row["mission"], row["task"]) for row in answer] == expected[:15]


def test_failing_and_errors(made: Bench, judge: Judge) -> None:
    bad = [f for f in judge.hours if f.type == "attempt.finished" and f.data["outcome"] in ("failed", "timed_out")]
    by_task = Counter(fact.data["task"] for fact in bad)
    answer = made.ask("failing", **judge.window)
    assert {row["task"]: row["failures"] for row in answer} == by_task
    worst = answer[0]
    last = max((fact for fact in bad if fact.data["task"] == worst["task"]), key=lambda fact: fact.at)
    assert (worst["last_at"], worst["last_mission"]) == (last.at, last.mission)

    codes = Counter((f.type, f.data.get("failure", {}).get("code", f.data["outcome"])) for f in bad)
    codes |= Counter(("mission.failed", "goal_failed") for f in judge.hours if f.type == "mission.failed")
    codes |= Counter(
        (f.type, "failed") for f in judge.hours if f.type == "tool.called" and f.data["outcome"] == "failed"
    )
    assert {(row["type"], row["code"]): row["times"] for row in made.ask("errors", **judge.window)} == codes


@pytest.mark.parametrize("by", ["agent", "tool", "model", "mission"])
def test_costs(made: Bench, judge: Judge, by: str) -> None:
    expected = judge.spent(by, judge.hours if by == "mission" else judge.minutes)
    answer = made.ask("costs", by=by, limit=1000, **judge.window)
    assert _spent(answer) == expected
    assert [row["cost_usd"] for row in answer] == sorted((row["cost_usd"] for row in answer), reverse=True)


def test_costs_of_missions_over_days(made: Bench, judge: Judge) -> None:
    for since, until in (("begin", "now"), ("2026-03-02T11:00Z", "2026-03-05T00:00Z")):
        first = datetime.fromisoformat(since).date() if since != "begin" else datetime.min.date()
        expected = judge.spent("mission", [fact for fact in judge.all if fact.at.date() >= first])
        answer = made.ask("costs", by="mission", limit=1000, since=since, until=until)
        assert _spent(answer) == expected
        assert made.ask("costs", by="mission", limit=3, since=since, until=until) == answer[:3]


def test_costs_of_one_mission(made: Bench, judge: Judge) -> None:
    mission = next(fact.mission for fact in judge.all if fact.type == "llm.completed")
    expected = judge.spent("model", [fact for fact in judge.all if fact.mission == mission])
    assert _spent(made.ask("costs", by="model", mission=mission)) == expected


def test_llm(made: Bench, judge: Judge) -> None:
    totals: Counter[str] = Counter()
    for row in made.ask("llm", bucket="30m", **judge.window):
        totals[row["model"]] += row["tokens_out"]
    assert totals == {name: spent[2] for name, spent in judge.spent("model", judge.minutes).items()}


@pytest.mark.parametrize("bucket", ["10m", "day"])
def test_waiting(made: Bench, judge: Judge, bucket: str) -> None:
    groups = judge.groups("attempt.started", "skill")
    answer = made.ask("waiting", bucket=bucket, **judge.window)
    for skill, started in groups.items():
        rows = [row for row in answer if row["skill"] == skill]
        waits = [each["waited_s"] for each in started]
        assert sum(row["started"] for row in rows) == len(waits)
        assert sum(row["mean_s"] * row["started"] for row in rows) == pytest.approx(sum(waits), abs=1e-2)
        assert max(row["longest_s"] for row in rows) == max(waits)
        assert all(row["p50_s"] <= row["p95_s"] * (1 + NEAR) for row in rows)
        assert all(row["p99_s"] <= row["longest_s"] * (1 + NEAR) for row in rows)


def test_funnel(made: Bench, judge: Judge) -> None:
    answer = made.ask("funnel", **judge.window)
    assert {row["stage"]: row["missions"] for row in answer} == judge.funnel()
    assert [row["stage"] for row in answer][:3] == ["submitted", "planned", "started"]
    assert answer[0]["of_submitted_pct"] == 100


def test_missions(made: Bench, judge: Judge) -> None:
    submitted = sorted((f for f in judge.all if f.type == "mission.submitted"), key=lambda f: f.at, reverse=True)
    ended: dict[str, tuple[str, datetime]] = {
        f.mission: (f.type[8:], f.at) for f in judge.all if f.type in ("mission.completed", "mission.failed")
    }
    costs = judge.spent("mission", judge.all)
    answer = made.ask("missions", limit=30)
    assert [row["mission"] for row in answer] == [fact.mission for fact in submitted[:30]]
    for row, fact in zip(answer, submitted, strict=False):
        status, at = ended.get(row["mission"], ("running", None))
        assert (row["status"], row["workflow"], row["submitted_at"]) == (status, fact.data["workflow"], fact.at)
        took = None if at is None else (at - fact.at).total_seconds()
        assert row["duration_s"] == (None if took is None else pytest.approx(took, abs=2e-6))
        assert row["cost_usd"] == pytest.approx(float(costs.get(row["mission"], (0, 0, 0, Decimal(0)))[3]))
    hello = made.ask("missions", workflow="hello", limit=1000)
    assert len(hello) == sum(fact.data["workflow"] == "hello" for fact in submitted)


def test_tasks_of_a_mission(made: Bench, judge: Judge) -> None:
    mission = next(fact.mission for fact in judge.all if fact.type == "attempt.finished")
    facts = [fact for fact in judge.all if fact.mission == mission]
    starts = {f.data["task"]: f for f in facts if f.type == "attempt.started"}
    dispatches = {f.data["task"]: f for f in facts if f.type == "action.dispatched"}
    ends = {f.data["task"]: f for f in facts if f.type == "attempt.finished"}
    answer = made.ask("tasks", mission=mission)
    assert [row["task"] for row in answer] == [f.data["task"] for f in facts if f.type == "task.ready"]
    for row in answer:
        task = row["task"]
        assert row["started_at"] == starts[task].at
        assert row["waited_s"] == pytest.approx((starts[task].at - dispatches[task].at).total_seconds(), abs=2e-6)
        assert (row["duration_s"], row["worker"]) == (
            ends[task].data["observation"]["duration_s"],
            ends[task].data["worker"],
        )
        assert row["status"] == ends[task].data["outcome"]


def _spent(answer: list[dict[str, Any]]) -> dict[str, tuple[int, int, int, Decimal]]:
    return {
        row["name"]: (row["calls"], row["tokens_in"], row["tokens_out"], Decimal(str(row["cost_usd"])))
        for row in answer
    }
