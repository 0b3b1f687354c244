"""Running a repository's test suite for an agent, with everything observed by the system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.errors import Cancelled, Retryable
from schemas.test_report import TestReport
from workers.context import Context
from workers.environments import Environment
from workers.tools.pytest_suite import run_suite
from workers.tools.pytest_suite.run import SUITE_LIMITS


def environment_for(context: Context, folder: Path) -> Environment:
    """The environment with the repository's dependencies, from the store or new.

    The input ``project`` may name the release that the repository came from (``requirement``).
    """
    project: dict[str, Any] = context.inputs.get("project") or {}
    with context.tool("environment", requirement=project.get("requirement")) as call, context.account.aside():
        environment = context.bench.environments.prepare(
            folder, requirement=project.get("requirement"), progress=context.progress
        )
        call.result = {"key": environment.key, "notes": list(environment.notes)}
    return environment


def observe_suite(
    context: Context,
    folder: Path,
    environment: Environment,
    *,
    only: tuple[str, ...] = (),
    coverage: bool = False,
    confirm: bool = True,
) -> TestReport:
    """Run the suite of ``folder``, or ``only`` some test files, and put the report where the system looks for it.

    Raises:
        Cancelled, TimedOut: the attempt was stopped while the suite ran.
        Retryable: the run was cut short by something outside the suite.
    """
    sandbox = context.sandbox
    wall_s = min(SUITE_LIMITS.wall_s, max(10.0, context.order.timeout_s - 10))
    limits = replace(SUITE_LIMITS, wall_s=wall_s)
    with context.tool("pytest", sandbox=sandbox.name, coverage=coverage, only=list(only)) as call:
        report = run_suite(
            folder,
            environment,
            sandbox,
            limits,
            only=only or None,
            coverage=coverage,
            confirm=confirm,
            cancelled=context.cancelled,
        )
        call.result = {"outcome": report.outcome, "passed": report.passed, "failed": report.failed + report.error}
    if report.outcome == "cancelled":
        context.check()
        raise Retryable("the test run was cut short") from Cancelled("cancelled")
    if only:
        report = report.model_copy(update={"selected": only})
    if context.bench.lacking:
        report = report.model_copy(update={"notes": (*report.notes, context.bench.lacking)})
    context.observed(report)
    return report


def summary_of(report: TestReport) -> dict[str, Any]:
    """A test report in short, as output."""
    return {
        "outcome": report.outcome,
        "passed": report.passed,
        "failed": report.failed,
        "error": report.error,
        "skipped": report.skipped,
        "flaky": report.flaky,
        "duration_s": round(report.duration_s, 3),
        "sandbox": report.sandbox,
        "notes": list(report.notes),
        "coverage_percent": report.coverage_percent,
    }
