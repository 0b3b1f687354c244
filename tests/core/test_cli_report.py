"""The report of a repair: read from a mission by a pure function, and shown on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from schemas.attempts import Failure
from stigmergy.cli.repair_screen import show
from stigmergy.missions import MissionView, TaskView
from stigmergy.repair_report import OpenFinding, RefusedGroup, report

BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SUITE = {"outcome": "passed", "passed": 52, "failed": 0, "error": 0, "skipped": 1, "duration_s": 1.5, "sandbox": "box"}


def finding(rule: str, path: str, line: int, severity: str, group: str | None) -> dict[str, Any]:
    return {
        "rule": rule,
        "path": path,
        "line": line,
        "severity": severity,
        "message": f"{rule} [x]",
        "fix_group": group,
    }


ANALYSIS = {
    "total": 7,
    "groups": [{"id": name, "title": f"Mend {name}"} for name in ("imports", "defaults", "files", "never")],
    "findings": [
        finding("F401", "a.py", 1, "info", "imports"),
        finding("B006", "b.py", 2, "error", "defaults"),
        finding("SIM115", "c.py", 3, "warning", "files"),
        finding("C901", "a.py", 9, "info", None),
        finding("E722", "a.py", 5, "error", None),
    ],
    "groups_left": 2,
}
MERGED = {
    "patch": "diff",
    "kept": ["imports"],
    "dropped": [{"group": "files", "reason": "passes alone, not with the others"}],
    "conflicts": [{"group": "files", "paths": ["c.py"]}],
    "tests": SUITE,
}


def task(name: str, status: str = "succeeded", output: dict[str, Any] | None = None, reason: str = "") -> TaskView:
    return TaskView(
        id=name, skill="test", title="", goal="mission", status=status, attempt=1, reason=reason,
        started_at=BEGUN, ended_at=BEGUN, output=output or {},
    )  # fmt: skip


def mission(status: str, *tasks: TaskView, patch: str | None = "diff", reason: str = "") -> MissionView:
    return MissionView(
        id="m1", tenant="default", status=status, objective="Repair", workflow="repair", inputs={},
        result={"patch": patch} if status == "completed" else {}, failure=None, reason=reason, submitted_at=BEGUN,
        ended_at=None if status == "running" else BEGUN + timedelta(seconds=20), sequence=9, goals=(), tasks=tasks,
    )  # fmt: skip


REPAIRED = mission(
    "completed",
    task("baseline", output=SUITE),
    task("analyze", output=ANALYSIS),
    task("repair.imports.fix", output={"files": ["a.py"], "fixes": {"F401": 3}, "notes": []}),
    task("repair.imports.check", output=SUITE),
    task("repair.defaults.fix", output={"files": ["b.py"], "fixes": {"B006": 1}}),
    task("repair.defaults.check", "failed", reason="1 test is worse: tests/test_b.py::test_it"),
    task("repair.files.fix", output={"files": ["c.py"], "fixes": {"SIM115": 1}}),
    task("repair.never.fix", "failed", reason="no file was changed"),
    task("repair.never.check", "skipped", reason="fix failed"),
    task("integrate", output=MERGED),
    task("verify", output={**SUITE, "passed": 51}),
)


def shown(view: MissionView, **how: Any) -> str:
    console = Console(file=io.StringIO(), width=110, highlight=False, color_system=None, force_terminal=False)
    show(report(view), console, **{"name": "orders", "patch": None, "folder": None, "applied": False, **how})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_repair_is_read() -> None:
    read = report(REPAIRED)
    assert read.verdict == "repaired"
    assert read.duration_s == 20
    assert read.baseline is not None
    assert read.final is not None
    assert (read.baseline.passed, read.final.passed) == (52, 51)
    assert [group.id for group in read.kept] == ["imports"]
    assert read.fixes == 3
    assert set(read.files) == {"a.py"}
    assert read.refused == (
        RefusedGroup(
            id="defaults", title="Mend defaults", stage="check", reason="1 test is worse: tests/test_b.py::test_it"
        ),
        RefusedGroup(id="never", title="Mend never", stage="fix", reason="no file was changed"),
        RefusedGroup(id="files", title="Mend files", stage="integrate", reason="passes alone, not with the others"),
    )
    assert [conflict.id for conflict in read.conflicts] == ["files"]
    assert (read.findings, read.open_findings, read.groups_left) == (7, 6, 2)


def test_the_gravest_findings_come_first_and_mended_ones_not_at_all() -> None:
    examples = report(REPAIRED).open_examples
    assert [(one.severity, one.path, one.line) for one in examples] == [
        ("error", "a.py", 5),
        ("error", "b.py", 2),
        ("warning", "c.py", 3),
        ("info", "a.py", 9),
    ]
    assert examples[0] == OpenFinding(path="a.py", line=5, rule="E722", severity="error", message="E722 [x]")


def test_without_verification_the_integrators_tests_are_the_final_ones() -> None:
    final = report(mission("completed", task("integrate", output=MERGED))).final
    assert final is not None
    assert final.passed == 52


@pytest.mark.parametrize(
    ("view", "verdict"),
    [
        (mission("completed", task("analyze", output={"total": 0, "groups": []}), patch=""), "nothing_to_do"),
        (mission("completed", task("analyze", output=ANALYSIS), patch=""), "nothing_kept"),
        (mission("failed", task("baseline", "failed", reason="no tests")), "failed"),
        (mission("cancelled", reason="interrupted"), "cancelled"),
        (mission("running"), "unfinished"),
    ],
)
def test_verdicts(view: MissionView, verdict: str) -> None:
    assert report(view).verdict == verdict


def test_a_failure_names_the_task_at_fault_once() -> None:
    failed = task("baseline", "failed", reason="pytest could not be installed")
    group = task("repair.x.fix", "failed", reason="only a group")
    assert report(mission("failed", failed, group)).reason == "baseline: pytest could not be installed"
    told = mission("failed", failed, reason="task baseline failed: pytest could not be installed")
    assert report(told).reason == "task baseline failed: pytest could not be installed"
    by_code = mission("failed").model_copy(update={"failure": Failure(code="late", message="its deadline passed")})
    assert report(by_code).reason == "its deadline passed"


def test_the_screen_has_it_all(tmp_path: Path) -> None:
    text = shown(REPAIRED, patch=tmp_path / "orders.patch", folder=tmp_path / "orders")
    for part in (
        "✓ orders repaired: 3 fixes in 1 file, 1 of 4 groups kept in 20s",
        "before 52 passed, 1 skipped",
        "after  51 passed",
        "Mend imports",
        "1 test is worse: tests/test_b.py::test_it",
        "no file was changed",
        "≠ files: c.py",
        "left for you: 6 findings of 7",
        "a.py:5  E722",
        "E722 [x]",
        "… and 2 more",
        "2 more groups did not fit",
        "apply ../orders.patch",
    ):
        assert part in text
    assert all(len(line) <= 110 for line in text.splitlines() if "apply" not in line and "patch" not in line)


def test_after_applying_nobody_is_asked_to_apply(tmp_path: Path) -> None:
    text = shown(REPAIRED, patch=tmp_path / "p.patch", folder=tmp_path, applied=True)
    assert "applied to" in text
    assert "git -C" not in text


def test_a_failure_is_shown_without_markup_of_its_own() -> None:
    assert "no [bold]tests[/bold] here" in shown(mission("failed", reason="no [bold]tests[/bold] here"))


@pytest.mark.parametrize("outcome", ["no_tests", "broken"])
def test_without_a_passing_test_nothing_is_proved(outcome: str) -> None:
    silent = {"outcome": outcome, "passed": 0, "failed": 0, "error": 0, "skipped": 0, "duration_s": 0.1}
    tasks = tuple(
        task.model_copy(update={"output": silent}) if task.id in ("baseline", "verify") else task
        for task in REPAIRED.tasks
    )
    view = REPAIRED.model_copy(update={"tasks": tasks})
    assert report(REPAIRED).proved
    assert not report(view).proved
    assert "nothing proves it" in shown(view)
