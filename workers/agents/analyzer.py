"""The analyzer: what is wrong in a Python repository, and which of it can be mended safely."""

from __future__ import annotations

from typing import Any

from workers.agents.base import Agent
from workers.context import Context
from workers.tools.python_code import analyse


class Analyzer(Agent):
    """Reads the workspace and changes nothing. Output: a :class:`~schemas.findings.Analysis`.

    ``measured`` tells it what the test suite said (a test report with coverage): failing tests and code that no test
    runs are findings too.
    """

    skills = ("analyze",)

    def run(self, context: Context) -> dict[str, Any]:
        folder = context.workspace
        with context.tool("analyse", exclude=context.inputs.get("exclude", [])) as call:
            analysis = analyse(folder, exclude=context.inputs.get("exclude", ()))
            call.result = {"files": analysis.files, "findings": analysis.total, "groups": len(analysis.groups)}
        context.act(
            f"read {analysis.files} files, {analysis.lines:,} lines: {analysis.total} findings, "
            f"{len(analysis.groups)} groups of safe fixes",
            by_severity={str(k.value): v for k, v in analysis.by_severity.items()},
        )
        output = analysis.model_dump(mode="json")
        output["tests"] = _from_tests(context.inputs.get("measured"))
        return output


def _from_tests(report: dict[str, Any] | None) -> dict[str, Any]:
    """What the test run adds: failing tests, and the files that tests hardly touch, worst first."""
    if not report:
        return {}
    failing = [
        {"id": case["id"], "outcome": case["outcome"], "message": case.get("message", "")[:300]}
        for case in report.get("cases", ())
        if case["outcome"] in ("failed", "error")
    ]
    files = sorted(report.get("coverage", ()), key=lambda entry: entry["percent"])
    return {
        "outcome": report.get("outcome"),
        "failing": failing[:50],
        "failing_count": len(failing),
        "coverage_percent": report.get("coverage_percent"),
        "least_covered": [{"path": f["path"], "percent": f["percent"]} for f in files[:10]],
    }
