"""The tester: runs the repository's own test suite in a sandbox."""

from __future__ import annotations

from typing import Any

from workers.agents.base import Agent
from workers.context import Context
from workers.suites import environment_for, observe_suite, summary_of


class Tester(Agent):
    """Runs pytest on a copy of the workspace, which stays as it is.

    Inputs: ``project`` (where the repository came from), ``coverage`` (measure which lines ran). A failing suite is no
    failure of the attempt: whether it may fail is for the task's expectations to say. Output: the report in short.
    """

    __test__ = False
    skills = ("test",)

    def run(self, context: Context) -> dict[str, Any]:
        environment = environment_for(context, context.workspace)
        coverage = bool(context.inputs.get("coverage", False))
        report = observe_suite(context, context.workspace, environment, coverage=coverage)
        context.act(f"tests {report.summary()}", sandbox=report.sandbox, seconds=round(report.duration_s, 2))
        return summary_of(report)
