"""One suite from a throw-away copy to a report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from schemas.test_report import TAIL_CAP, FileCoverage, SuiteOutcome, TestCase, TestReport
from workers.environments import Environment
from workers.sandboxes import Completed, Limits, Sandbox
from workers.tools.pytest_suite.copying import throw_away_copy
from workers.tools.pytest_suite.invocation import COVERAGE_DATA, COVERAGE_JSON, XML_NAME, Invocation, node_ids
from workers.tools.pytest_suite.junit import XML_CAP, UnreadableReport, read_cases

USAGE_ERROR = 4
NO_TESTS = 5
CONFIRM_CAP = 50
SUITE_LIMITS = Limits(wall_s=300.0, cpu_s=600, memory_bytes=2 * 1024**3, processes=256)


def run_suite(
    folder: Path,
    environment: Environment,
    sandbox: Sandbox,
    limits: Limits = SUITE_LIMITS,
    *,
    only: Sequence[str] | None = None,
    deselect: Sequence[str] = (),
    coverage: bool = False,
    confirm: bool = False,
    cancelled: Callable[[], bool] | None = None,
    on_output: Callable[[str], None] | None = None,
) -> TestReport:
    """Run the tests of ``folder``, which stays as it is: they run in a copy.

    Args:
        folder: the root of a repository.
        environment: what ``EnvironmentStore.prepare`` made for it.
        sandbox: where to run.
        limits: for each pytest process; a second one is started when the project's own options do not work.
        only: node ids or paths to run instead of everything.
        deselect: node ids to leave out.
        coverage: measure which lines ran.
        confirm: run failing tests once more alone; those that then pass are marked flaky and count as passed.
        cancelled: True ends the run.
        on_output: told each line of pytest's output as it comes.

    Raises:
        InvalidInput: ``folder`` is no folder.
        DiskFull: there is no room for the copy.
    """
    with throw_away_copy(folder) as copy, tempfile.TemporaryDirectory(prefix="stigmergy-report-") as place:
        first = Invocation(
            environment=environment,
            copy=copy,
            report=Path(place).resolve(),
            only=node_ids(only),
            deselect=tuple(deselect),
            coverage=coverage,
        )
        suite = _Suite(sandbox, limits, cancelled, on_output)
        report = suite.run(first)
        if report.exit_code == USAGE_ERROR and report.outcome == "broken":
            why = _last_line(report.tail)
            note = f"the project's own pytest options do not work here and were left out: {why}"
            report = suite.run(replace(first, plain=True), note)
            first = replace(first, plain=True)
        if confirm and report.outcome in {"failed", "broken"}:
            report = suite.confirm(first, report)
        return suite.measure(first, report) if coverage else report


class _Suite:
    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        cancelled: Callable[[], bool] | None,
        on_output: Callable[[str], None] | None,
    ) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._cancelled = cancelled
        self._on_output = on_output

    def run(self, invocation: Invocation, *notes: str) -> TestReport:
        """One pytest process, reported."""
        xml = invocation.report / XML_NAME
        xml.unlink(missing_ok=True)
        done = self._start(invocation, invocation.command(), tell=True)
        problem = ""
        cases: tuple[TestCase, ...] = ()
        try:
            cases = read_cases(xml, root=str(invocation.copy))
        except UnreadableReport as error:
            problem = str(error)
        outcome = _outcome(done, cases, readable=not problem)
        if problem and outcome == "broken":
            notes = (*notes, problem)
        if done.ended_by in {"memory", "processes", "cpu"}:
            notes = (*notes, f"the run was ended: it used more than its share of {done.ended_by}")
        return _report(done, outcome, cases, invocation, self._sandbox.name, notes)

    def _start(self, invocation: Invocation, command: list[str], *, tell: bool = False) -> Completed:
        on_output = self._on_output
        return self._sandbox.run(
            command,
            folder=invocation.copy,
            env=invocation.env(),
            limits=self._limits,
            read_only=invocation.environment.read_only_paths,
            writable=[invocation.report],
            cancelled=self._cancelled,
            on_output=(lambda _, line: on_output(line)) if tell and on_output is not None else None,
        )

    def confirm(self, invocation: Invocation, report: TestReport) -> TestReport:
        """Ask the failing tests again, alone."""
        failing = [c.id for c in report.cases if c.outcome in {"failed", "error"} and "::" in c.id]
        if not failing or len(failing) > CONFIRM_CAP:
            return report
        again = self.run(replace(invocation, only=tuple(failing), deselect=(), coverage=False))
        healed = {c.id for c in again.cases if c.outcome == "passed"} & set(failing)
        cases = tuple(
            c.model_copy(update={"outcome": "passed", "flaky": True}) if c.id in healed else c for c in report.cases
        )
        still = any(c.outcome in {"failed", "error"} for c in cases)
        outcome = report.outcome if still or report.outcome == "broken" else "passed"
        return report.model_copy(update={"cases": cases, "outcome": outcome, **_counts(cases)})

    def measure(self, invocation: Invocation, report: TestReport) -> TestReport:
        """Add the coverage that the run recorded."""
        target = invocation.report / COVERAGE_JSON
        data = f"--data-file={invocation.report / COVERAGE_DATA}"
        command = [str(invocation.environment.python), "-m", "coverage", "json", data, "-i", "-q", "-o", str(target)]
        done = self._start(invocation, command)
        if not done.ok or target.is_symlink() or not target.is_file() or target.stat().st_size > XML_CAP:
            note = f"coverage was not measured: {_last_line(done.stderr or done.stdout) or done.ended_by}"
            return report.model_copy(update={"notes": (*report.notes, note)})
        try:
            percent, files = _coverage(target.read_text("utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # the guest may have written anything
            note = f"coverage was not measured: its report cannot be read ({error})"
            return report.model_copy(update={"notes": (*report.notes, note)})
        return report.model_copy(update={"coverage_percent": percent, "coverage": files})


def _outcome(done: Completed, cases: tuple[TestCase, ...], *, readable: bool) -> SuiteOutcome:
    if done.ended_by == "timeout":
        return "timeout"
    if done.ended_by == "cancelled":
        return "cancelled"
    if done.exit_code == NO_TESTS and done.ended_by == "exit":
        return "no_tests"
    uncollected = any(c.outcome == "error" and "collection" in c.message[:40] for c in cases)
    if done.ended_by != "exit" or done.exit_code not in {0, 1} or uncollected or not readable:
        return "broken"
    bad = any(c.outcome in {"failed", "error"} for c in cases)
    return "failed" if bad or done.exit_code == 1 else "passed"


def _report(
    done: Completed,
    outcome: SuiteOutcome,
    cases: tuple[TestCase, ...],
    invocation: Invocation,
    sandbox: str,
    notes: tuple[str, ...],
) -> TestReport:
    said = "\n".join(part for part in (done.stdout.strip(), done.stderr.strip()) if part)
    said = said.replace(f"{invocation.copy}/", "").replace(str(invocation.copy), ".")
    return TestReport(
        outcome=outcome,
        cases=cases,
        duration_s=round(done.duration_s, 3),
        exit_code=done.exit_code,
        sandbox=sandbox,
        notes=notes,
        tail=said[-TAIL_CAP:],
        **_counts(cases),
    )


def _counts(cases: tuple[TestCase, ...]) -> dict[str, int]:
    counts = dict.fromkeys(("passed", "failed", "error", "skipped", "xfailed"), 0)
    for case in cases:
        counts[case.outcome] += 1
    return {**counts, "flaky": sum(case.flaky for case in cases)}


def _coverage(text: str) -> tuple[float, tuple[FileCoverage, ...]]:
    told = json.loads(text)
    files = tuple(
        FileCoverage(path=path, percent=entry["summary"]["percent_covered"], missing=tuple(entry["missing_lines"]))
        for path, entry in sorted(told["files"].items())
    )
    return float(told["totals"]["percent_covered"]), files


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "rror" in line]
    return (told or lines or [""])[-1][:300]
