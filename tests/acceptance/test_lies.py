"""Agents that lie: about tests, about files, about being done. No mission of theirs is ever completed by the lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Refused
from schemas.expectations import Compiles, FilesChanged, FilesChangedWithin, TestsPass
from schemas.plan import Plan, RecoveryRule, RetryPolicy, TaskSpec
from schemas.safety import Safety
from stigmergy import Client, MissionHandle
from stigmergy.violations import ViolationRow, violations_of
from tests.acceptance.missions import data, history, of, one, task, until
from tests.acceptance.repositories import repository, snapshot_of

pytestmark = pytest.mark.xdist_group("acceptance")
FILES = {
    "a.py": "x = 1\n",
    "tests/test_a.py": "import a\n\n\ndef test_a():\n    assert a.x == 2\n",
    "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
}
CHANGES_A = FilesChanged(patterns=("a.py",))
ONCE = RetryPolicy(max_attempts=1)


async def submit(client: Client, folder: Path, skill: str, expects: Any, **rest: Any) -> MissionHandle:
    workspace = await snapshot_of(client, repository(folder, FILES))
    safety = rest.pop("safety", Safety())
    spec = TaskSpec(id="only", skill=skill, workspace="${inputs.workspace}", expects=expects, retry=ONCE, **rest)
    return await client.submit("a lie", plan=Plan(tasks=(spec,), safety=safety), inputs={"workspace": workspace})


async def rows(mission: MissionHandle) -> list[ViolationRow]:
    return violations_of(await history(mission))


@pytest.mark.parametrize(
    ("how", "category"), [("failing", "test_failed"), ("not at all", "false_done"), ("forged", "false_done")]
)
async def test_who_says_that_tests_pass_is_not_believed(
    client: Client, tmp_path: Path, how: str, category: str
) -> None:
    mission = await submit(client, tmp_path, "forges", (TestsPass(),), inputs={"how": how})
    outcome = await mission.outcome(timeout_s=90)
    assert outcome.status == "failed"
    assert [(row.task, row.category, row.done) for row in await rows(mission)] == [
        ("only", category, "the task failed")
    ]


@pytest.mark.parametrize(
    ("writes", "expects", "category"),
    [
        ({}, FilesChanged(patterns=("a.py",)), "missing_change"),
        ({"b.py": "y = 1\n"}, FilesChangedWithin(patterns=("a.py",)), "unexpected_change"),
        ({"a.py": "def (:\n"}, Compiles(), "compile_error"),
    ],
)
async def test_who_says_that_it_changed_files_is_looked_at(
    client: Client, tmp_path: Path, writes: dict[str, str], expects: Any, category: str
) -> None:
    inputs = {"writes": writes, "claims": ["a.py"]}
    mission = await submit(client, tmp_path, "lies", (expects,), inputs=inputs)
    assert (await mission.outcome(timeout_s=30)).status == "failed"
    assert [row.category for row in await rows(mission)] == [category]


async def test_a_liar_that_is_told_what_was_wrong_may_recover(client: Client, tmp_path: Path) -> None:
    rule = RecoveryRule(category="false_done", do="retry_with_feedback")
    inputs = {"how": "not at all", "honest_after": True}
    mission = await submit(client, tmp_path, "forges", (TestsPass(),), inputs=inputs, recover=(rule,))
    outcome = await mission.outcome(timeout_s=90)
    assert outcome.status == "completed", outcome.failure
    assert task(outcome).output["told"] == ["false_done"]
    assert [row.done for row in await rows(mission)] == ["retry_with_feedback: attempt 2"]


async def test_another_agent_does_what_a_liar_did_not(client: Client, tmp_path: Path) -> None:
    rule = RecoveryRule(do="other_agent", skill="edits")
    inputs = {"writes": {}, "claims": ["a.py"], "file": "a.py", "text": "x = 2\n", "sleep_s": 0}
    mission = await submit(client, tmp_path, "lies", (CHANGES_A,), inputs=inputs, recover=(rule,))
    assert (await mission.outcome(timeout_s=30)).status == "completed"
    assert [row.done for row in await rows(mission)] == ["other_agent by edits: attempt 2"]


async def test_a_person_is_asked(client: Client, tmp_path: Path) -> None:
    rule = RecoveryRule(do="ask", times=2)
    inputs = {"writes": {}, "claims": ["a.py"]}
    mission = await submit(client, tmp_path, "lies", (CHANGES_A,), inputs=inputs, recover=(rule,))
    await until(mission, of("task.asked"))
    with pytest.raises(Refused, match="does not wait"):
        await mission.answer("other")
    await mission.answer("only", advice="really change it")
    ready = await until(mission, of("task.ready"), count=2)
    assert data(ready)["advice"] == "really change it"
    await until(mission, of("task.asked"), count=2)
    await mission.answer("only", retry=False)
    assert (await mission.outcome(timeout_s=30)).status == "failed"


async def test_a_forbidden_change_stops_the_mission_and_never_counts(client: Client, tmp_path: Path) -> None:
    inputs = {"writes": {"b.py": "y = 1\n"}}
    safety = Safety(forbidden_paths=("b.*",))
    mission = await submit(client, tmp_path, "lies", (), inputs=inputs, safety=safety)
    paused = await until(mission, of("mission.paused"))
    assert data(paused)["reason"] == "safety: b.py was changed"
    tripped = await until(mission, of("world.tripped"))
    assert data(tripped)["evidence"] == {"path": "b.py", "change": "added"}
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "failed"
    assert "forbidden change of b.py" in (outcome.failure.message if outcome.failure else "")
    assert not [event for event in await history(mission) if event.type == "world.confirmed"]


async def test_a_forbidden_command_is_not_run(client: Client, tmp_path: Path) -> None:
    inputs = {"argv": ["touch", "made"], "keep_changes": True}
    safety = Safety(forbidden_commands=("touch*",))
    mission = await submit(client, tmp_path, "command", (), inputs=inputs, safety=safety)
    tripped = await until(mission, of("world.tripped"))
    assert data(tripped)["rule"] == "forbidden_commands: touch*"
    called = await until(mission, of("tool.called"))
    assert data(called)["result"] == {"forbidden": "touch*"}
    finished = await until(mission, of("attempt.finished"))
    assert data(finished)["failure"]["code"] == "forbidden"
    assert (await mission.outcome(timeout_s=30)).status == "failed"


async def test_what_kills_workers_is_quarantined_with_the_evidence(client: Client) -> None:
    plan = one("kills", attempts=9)
    poison = plan.tasks[0].model_copy(update={"retry": RetryPolicy(max_attempts=9, delay_s=0.05, max_deaths=2)})
    mission = await client.submit("poison", plan=Plan(tasks=(poison,)))
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == "failed"
    failed = data(await until(mission, of("task.failed")))
    assert failed["failure"]["code"] == "quarantined"
    assert [death["attempt"] for death in failed["deaths"]] == [1, 2]
    assert len({death["worker"] for death in failed["deaths"]}) == 2
