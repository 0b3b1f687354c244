"""The tester: runs the repository's own test suite in a sandbox."""

from __future__ import annotations

from typing import Any

from schemas.expectations import TestsNoWorse, TestsPass
from schemas.test_report import TestReport
from workers.agents.base import Agent
from workers.context import Context
from workers.environments import Environment
from workers.suites import environment_for, observe_suite, summary_of
from workers.tools.pytest_suite.affected import affected_tests


class Tester(Agent):
    """Runs pytest on a copy of the workspace, which stays as it is.

    Inputs: :class:`~schemas.parameters.TestParameters`. A failing suite is no failure of the attempt: whether it may
    fail is for the task's expectations to say. With ``affected_first`` the tests that reach what changed run by
    themselves first; what they show is the report if it cannot meet the expectations, otherwise the whole suite runs.
    Output: the report in short.
    """

    __test__ = False
    skills = ("test",)

    def run(self, context: Context) -> dict[str, Any]:
        environment = environment_for(context, context.workspace)
        report = self._affected(context, environment)
        if report is None:
            coverage = bool(context.inputs.get("coverage", False))
            report = observe_suite(context, context.workspace, environment, coverage=coverage)
        context.act(f"tests {report.summary()}", sandbox=report.sandbox, seconds=round(report.duration_s, 2))
        return summary_of(report)

    def _affected(self, context: Context, environment: Environment) -> TestReport | None:
        """What the affected tests show, if that settles the matter already."""
        if not context.inputs.get("affected_first"):
            return None
        tests = affected_tests(context.workspace, context.inputs.get("changed") or ())
        if not tests:
            return None
        context.think(f"{len(tests)} test files reach what changed: they go first")
        report = observe_suite(context, context.workspace, environment, only=tests)
        return report if _disappoints(context, report) else None


def _disappoints(context: Context, report: TestReport) -> bool:
    for expected in context.order.expects:
        if isinstance(expected, TestsPass) and report.outcome == "failed":
            return True
        if isinstance(expected, TestsNoWorse) and isinstance(expected.baseline, dict):
            return bool(report.worse_than(TestReport.model_validate(expected.baseline)))
    return False
