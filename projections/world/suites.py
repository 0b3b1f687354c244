"""The fold of test reports. A report counts if its attempt is the present one, whatever the verdict: it was observed
by the system in a tree that is named."""

from __future__ import annotations

from msgspec.structs import replace
from pydantic import ValidationError

from projections.world.state import KEPT_RUNS, Mission, Suite, TaskState, TestRun, TestState, bounded
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events.attempt import AttemptFinished
from schemas.test_report import TestReport

_BAD = ("failed", "error", "timeout")


def tested(mission: Mission, task: TaskState, event: Event, payload: AttemptFinished) -> Mission:
    """The tests after a report. Tests of the suite that a timeout kept from running have the outcome ``timeout``."""
    if payload.observation.tests is None:
        return mission
    try:
        report = TestReport.model_validate(payload.observation.tests)
    except ValidationError as error:
        raise InvalidEvent(f"the test report of event {event.id} is none: {error.error_count()} problems") from error
    tree = _tree(task, payload)
    tests = mission.tests
    for case in report.cases:
        run = _run(case.outcome, tree, case.duration_s, case.flaky, task, event)
        tests = tests.set(case.id, _after(tests.get(case.id) or TestState(case.id), run))
    if report.outcome == "timeout":
        seen = {case.id for case in report.cases}
        run = _run("timeout", tree, 0.0, False, task, event)
        for known in [test for name, test in tests.items() if name not in seen]:
            tests = tests.set(known.id, _after(known, run))
    suite = Suite(
        outcome=report.outcome,
        passed=bounded(report.passed),
        failed=bounded(report.failed + report.error),
        skipped=bounded(report.skipped + report.xfailed),
        flaky=bounded(report.flaky),
        duration_s=report.duration_s,
        tree=tree,
        task=task.id,
        attempt=task.attempt,
        at=event.time,
        sequence=event.sequence,
    )
    return replace(mission, tests=tests, state=replace(mission.state, suite=suite))


def _tree(task: TaskState, payload: AttemptFinished) -> str:
    """The tree that was tested, if it is certain: an attempt that changed files may have done so after the tests."""
    left = str((payload.product or {}).get("tree", ""))
    return left if left == task.base and not payload.observation.changes else ""


def _run(outcome: str, tree: str, duration_s: float, flaky: bool, task: TaskState, event: Event) -> TestRun:
    return TestRun(outcome, tree, duration_s, flaky, task.id, task.attempt, event.time, event.sequence)


def _after(test: TestState, run: TestRun) -> TestState:
    bad = run.outcome in _BAD
    opposite = ("passed",) if bad else _BAD
    both = (bad or run.outcome == "passed") and any(
        other.tree == run.tree and other.outcome in opposite for other in test.runs if run.tree
    )
    return replace(
        test,
        runs=(run, *test.runs)[:KEPT_RUNS],
        passed=test.passed + (run.outcome == "passed"),
        failed=test.failed + bad,
        seconds=round(test.seconds + run.duration_s, 6),
        flaky=test.flaky or run.flaky or both,
    )
