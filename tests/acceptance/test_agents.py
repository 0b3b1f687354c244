"""What agents leave behind: notes for the next attempt, trees that are looked at, and lies that are found out."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.expectations import ExitCode, FilesChangedWithin, FilesUnchanged, TestsNoWorse
from schemas.plan import Group, Plan, RetryPolicy, TaskSpec
from stigmergy import Client
from tests.acceptance.missions import data, history, of, one, task, until
from tests.acceptance.repositories import CONFLICTING, repository, snapshot_of
from tests.acceptance.stack import MISBEHAVING, running

pytestmark = pytest.mark.xdist_group("acceptance")
WORKSPACE = "${inputs.workspace}"


async def test_notes_survive_a_retry(client: Client) -> None:
    mission = await client.submit("three pages", plan=one("notes", attempts=2))
    outcome = await mission.outcome(timeout_s=20)
    assert task(outcome).output == {"pages": ["first", "second", "third"], "keys": ["pages"]}
    retried = await until(mission, of("task.retried"))
    assert data(retried)["failure"]["message"] == "the third page does not load"


def lying(name: str, expects: Any, **inputs: Any) -> TaskSpec:
    return TaskSpec(id=name, skill="lies", workspace=WORKSPACE, expects=(expects,), inputs=inputs)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (lying("only", FilesChangedWithin(patterns=("a.py",), at_least=1), claims=["a.py"]), "0 files changed"),
        (
            lying("only", FilesChangedWithin(patterns=("a.py",)), writes={"b.py": "2"}, claims=["a.py"]),
            "change of b.py",
        ),
        (lying("only", FilesUnchanged(), writes={"new.py": "1"}), "changed new.py"),
    ],
)
async def test_an_agent_that_lies_is_found_out(client: Client, tmp_path: Path, spec: TaskSpec, words: str) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.py": "x = 1\n", "b.py": "y = 2\n"}))
    mission = await client.submit("honest work", plan=Plan(tasks=(spec,)), inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=20)
    assert outcome.status == "failed"
    violated = await until(mission, of("world.violated"))
    assert words in data(violated)["violations"][0]["message"]
    assert words in outcome.failure.message if outcome.failure else False


async def test_the_branch_of_a_liar_is_refused_and_the_others_count(client: Client, tmp_path: Path) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.py": "x = 1\n", "b.py": "y = 2\n"}))
    branch = TaskSpec(
        id="fix",
        skill="lies",
        workspace=WORKSPACE,
        inputs={"writes": "${item.writes}"},
        expects=(FilesChangedWithin(patterns="${item.files}", at_least=1),),
    )
    items = [
        {"id": "honest", "files": ["a.py"], "writes": {"a.py": "x = 3\n"}},
        {"id": "liar", "files": ["a.py"], "writes": {"b.py": "y = 3\n"}},
    ]
    group = Group(id="all", items="${inputs.items}", optional_branches=True, tasks=(branch,))
    last = TaskSpec(id="last", skill="echo", needs=("all",), inputs={"kept": "${all[*].item.id}"})
    mission = await client.submit(
        "two branches",
        plan=Plan(groups=(group,), tasks=(last,)),
        inputs={"workspace": workspace, "items": items},
    )
    outcome = await mission.outcome(timeout_s=20)
    assert outcome.status == "completed", outcome.failure
    assert task(outcome, "last").output == {"kept": ["honest"]}
    assert task(outcome, "all.liar.fix").status == "failed"


def editing(name: str, file: str, writes: tuple[str, ...], on_conflict: Any = "serialise") -> TaskSpec:
    inputs = {"file": file, "text": f"{name}\n", "sleep_s": 0.3}
    return TaskSpec(id=name, skill="edits", workspace=WORKSPACE, inputs=inputs, writes=writes, on_conflict=on_conflict)


async def test_tasks_that_want_the_same_file_go_one_after_another_and_build_on_each_other(
    client: Client, tmp_path: Path
) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.txt": "old\n", "b.txt": ""}))
    names = ("one", "two", "three")
    edits = (editing(name, "a.txt", ("a.*",)) for name in names)
    plan = Plan(tasks=(*edits, editing("else", "b.txt", ("b.*",))))
    mission = await client.submit("the same file", plan=plan, inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed", outcome.failure
    found = sorted((task(outcome, name).output["found"] for name in names), key=len)
    assert found[0] == "old\n"
    assert [text.count("\n") for text in found] == [1, 2, 3]
    events = await history(mission)
    open_: set[str | None] = set()
    for event in events:
        if event.type == "attempt.started":
            open_.add(event.subject)
            assert len(open_ & set(names)) <= 1
        if event.type == "attempt.finished":
            open_.discard(event.subject)


async def test_who_changes_what_it_did_not_claim_is_found_out(client: Client, tmp_path: Path) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.txt": "old\n", "b.txt": ""}))
    plan = Plan(tasks=(editing("only", "b.txt", ("a.txt::part",)),))
    mission = await client.submit("another file", plan=plan, inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "failed"
    assert "unexpected change of b.txt" in (outcome.failure.message if outcome.failure else "")


async def test_what_does_not_fit_what_went_before_is_said_and_left_out(client: Client, tmp_path: Path) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.txt": "old\n", "b.txt": ""}))
    side = tuple(editing(name, "a.txt", ("a.txt",), "merge") for name in ("one", "two"))
    last = editing("last", "a.txt", ("a.txt",)).model_copy(update={"needs": ("one", "two")})
    mission = await client.submit("side by side", plan=Plan(tasks=(*side, last)), inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "completed", outcome.failure
    (conflict,) = [data(event) for event in await history(mission) if event.type == "workspace.conflicted"]
    assert (conflict["task"], conflict["paths"]) == ("last", ["a.txt"])
    kept = {"one", "two"} - {conflict["side"]}
    assert task(outcome, "last").output == {"found": f"old\n{kept.pop()}\n"}


async def test_parallel_fixes_that_conflict_are_made_anew_and_all_kept(client: Client, tmp_path: Path) -> None:
    folder = repository(tmp_path / "project", CONFLICTING)
    outcome, events = await repaired(client, folder)
    assert outcome.status == "completed", outcome.failure
    conflicts = [data(event) for event in events if event.type == "workspace.conflicted"]
    assert conflicts
    assert all(conflict["paths"] == ["shop.py"] for conflict in conflicts)
    made = task(outcome, "integrate").output
    assert made["dropped"] == []
    fresh = repository(tmp_path / "fresh", CONFLICTING)
    subprocess.run(["git", "apply", "-"], input=made["patch"], text=True, cwd=fresh, check=True)
    mended = (fresh / "shop.py").read_text(encoding="utf-8")
    assert "== None" not in mended
    assert 'f"free"' not in mended
    assert task(outcome, "verify").output["outcome"] == "passed"


SUITE = {
    "shop.py": "def price():\n    return 2\n",
    "test_shop.py": "import shop\ndef test_price(): assert shop.price() == 2\n",
    "test_other.py": "def test_other(): pass\n",
}


@pytest.mark.parametrize(("text", "ran", "status"), [("3", 1, "failed"), ("1 + 1", 2, "completed")])
async def test_the_tests_that_a_change_reaches_go_first_and_settle_it_if_they_fail(
    client: Client, tmp_path: Path, text: str, ran: int, status: str
) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, SUITE))
    suite = TaskSpec(id="before", skill="test", intent="RunTests", workspace=WORKSPACE)
    change = lying(
        "change", FilesChangedWithin(patterns=("*",)), writes={"shop.py": f"def price():\n    return {text}\n"}
    )
    after = TaskSpec(
        id="after",
        skill="test",
        intent="RunTests",
        needs=("before", "change"),
        workspace="${change.workspace}",
        inputs={"affected_first": True, "changed": ["shop.py"]},
        expects=(TestsNoWorse(baseline="${before.tests}"),),
        retry=RetryPolicy(max_attempts=1),
    )
    plan = Plan(tasks=(suite, change, after))
    mission = await client.submit("a change", plan=plan, inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=60)
    assert outcome.status == status, outcome.failure
    finished = data(await until(mission, of("attempt.finished", "after")))["observation"]
    assert len(finished["tests"]["cases"]) == ran
    assert finished["tools"]["pytest"] == {"failed": 1, "completed": 2}[status]
    if status == "failed":
        assert "1 test is worse than before: test_shop.py::test_price" in (
            outcome.failure.message if outcome.failure else ""
        )


async def test_a_program_runs_on_the_workspace_and_its_exit_code_is_observed(client: Client, tmp_path: Path) -> None:
    workspace = await snapshot_of(client, repository(tmp_path, {"a.txt": "one\n"}))
    script = "printf two >> a.txt; cat a.txt; exit $((CODE))"

    def running_it(name: str, **inputs: Any) -> TaskSpec:
        return TaskSpec(
            id=name,
            skill="command",
            intent="RunCommand",
            workspace=WORKSPACE,
            inputs={"argv": ["sh", "-c", script], **inputs},
            expects=(ExitCode(),),
            retry=RetryPolicy(max_attempts=1),
        )

    good, dry = running_it("good"), running_it("dry", keep_changes=False)
    # Behind the others: its failure ends the mission.
    bad = running_it("bad", env={"CODE": "3"}).model_copy(update={"needs": ("good", "dry")})
    plan = Plan(tasks=(good, dry, bad), goals=())
    mission = await client.submit("three runs", plan=plan, inputs={"workspace": workspace})
    outcome = await mission.outcome(timeout_s=30)
    assert outcome.status == "failed"
    assert "exit code 3 where 0 was expected" in (outcome.failure.message if outcome.failure else "")
    by_task = {event.subject: data(event) for event in await history(mission) if event.type == "attempt.finished"}
    assert by_task["bad"]["observation"]["exit_code"] == 3
    for name, changes in (("good", {"a.txt": "modified"}), ("dry", {})):
        assert by_task[name]["output"]["stdout"] == "one\ntwo"
        assert by_task[name]["observation"]["changes"] == changes


async def repaired(client: Client, folder: Path, **project: str) -> tuple[Any, list[Any]]:
    """The end of a repair mission, and its events."""
    inputs = {"workspace": await snapshot_of(client, folder), "project": project}
    mission = await client.submit("repair", workflow="repair", inputs=inputs)
    return await mission.outcome(timeout_s=150), await history(mission)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.txt": "nothing to run here\n", "main.c": "int main(void) { return 0; }\n"}, "Python"),
        ({}, "Python"),
    ],
)
async def test_what_is_no_python_is_refused_with_a_reason(
    client: Client, tmp_path: Path, files: Mapping[str, str], words: str
) -> None:
    outcome, _ = await repaired(client, repository(tmp_path, files))
    assert outcome.status == "failed"
    assert outcome.failure is not None
    assert words in outcome.failure.message


async def test_a_repository_without_tests_ends_with_a_reason(client: Client, tmp_path: Path) -> None:
    outcome, _ = await repaired(client, repository(tmp_path, {"lonely.py": "import os\nx = 1\n"}))
    assert outcome.status == "completed", outcome.failure
    assert task(outcome, "baseline").output["outcome"] == "no_tests"
    assert task(outcome, "verify").output["outcome"] == "no_tests"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size at ``folder``; needs root."""
    folder.mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={size}".encode()) != 0:
        reason = f"cannot mount: {os.strerror(ctypes.get_errno())}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)


async def test_a_full_disk_fails_the_attempt_with_the_reason(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state", "40m"), running(tmp_path, imports=(MISBEHAVING,)) as full:
        async with Client(full.settings) as client:
            mission = await client.submit("too much", plan=one("fills-disk", attempts=2, megabytes=100))
            outcome = await mission.outcome(timeout_s=30)
            assert (outcome.status, task(outcome).attempt) == ("failed", 2)
            assert "No space left" in task(outcome).reason or "no space" in task(outcome).reason
            after = await client.submit("goes on", plan=one("fills-disk", megabytes=1))
            assert (await after.outcome(timeout_s=20)).status == "completed"
