"""Expected against observed. Pure: everything needed is in the report and in what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from schemas.events.attempt import AttemptFinished
from schemas.expectations import (
    ExitCode,
    Expectation,
    FilesChangedWithin,
    FilesUnchanged,
    MaxDuration,
    Observation,
    OutputHas,
    TestsNoWorse,
    TestsPass,
    Violation,
)
from schemas.test_report import TestReport

_SHOWN = 20


def judge(expects: Sequence[Expectation], finished: AttemptFinished) -> tuple[Violation, ...]:
    """What does not hold; empty if the world is as expected."""
    return tuple(v for expectation in expects if (v := _check(expectation, finished)) is not None)


def _check(expectation: Expectation, finished: AttemptFinished) -> Violation | None:
    seen = finished.observation
    match expectation:
        case FilesChangedWithin():
            return _changed_within(expectation, seen)
        case FilesUnchanged():
            return _unchanged(expectation.kind, seen)
        case TestsPass():
            return _tests_pass(expectation.kind, seen)
        case TestsNoWorse():
            return _no_worse(expectation, seen)
        case ExitCode():
            if seen.exit_code == expectation.code:
                return None
            return Violation(
                kind=expectation.kind, message=f"exit code {seen.exit_code} where {expectation.code} was expected"
            )
        case OutputHas():
            missing = [key for key in expectation.keys if finished.output.get(key) is None]
            return (
                Violation(kind=expectation.kind, message=f"the output lacks {', '.join(missing)}") if missing else None
            )
        case MaxDuration():
            if seen.duration_s <= expectation.seconds:
                return None
            message = f"took {seen.duration_s:.1f} s, at most {expectation.seconds:g} s were expected"
            return Violation(kind=expectation.kind, message=message)


def _changed_within(expectation: FilesChangedWithin, seen: Observation) -> Violation | None:
    if seen.changes is None:
        return Violation(kind=expectation.kind, message="no workspace was observed")
    patterns = (expectation.patterns,) if isinstance(expectation.patterns, str) else expectation.patterns
    outside = sorted(p for p in seen.changes if not any(fnmatchcase(p, pattern) for pattern in patterns))
    if outside:
        return Violation(
            kind=expectation.kind,
            message=f"unexpected change of {', '.join(outside[:3])}{' and others' if len(outside) > 3 else ''}",
            evidence={"paths": outside[:_SHOWN]},
        )
    if len(seen.changes) < expectation.at_least:
        return Violation(
            kind=expectation.kind, message=f"{len(seen.changes)} files changed, at least {expectation.at_least} should"
        )
    return None


def _unchanged(kind: str, seen: Observation) -> Violation | None:
    if seen.changes is None:
        return Violation(kind=kind, message="no workspace was observed")
    if not seen.changes:
        return None
    paths = sorted(seen.changes)
    return Violation(kind=kind, message=f"changed {', '.join(paths[:3])}", evidence={"paths": paths[:_SHOWN]})


def _tests_pass(kind: str, seen: Observation) -> Violation | None:
    if seen.tests is None:
        return Violation(kind=kind, message="no test run was observed")
    report = _report(seen.tests)
    if report is None:
        return _unreadable(kind, "the observed test report")
    if report.outcome == "passed":
        return _partial(kind, report)
    return Violation(kind=kind, message=f"the tests ended {report.outcome}", evidence={"tail": report.tail[-1000:]})


def worse(count: int) -> str:
    """How many tests are worse, in words."""
    return "1 test is worse" if count == 1 else f"{count} tests are worse"


def _no_worse(expectation: TestsNoWorse, seen: Observation) -> Violation | None:
    if seen.tests is None:
        return Violation(kind=expectation.kind, message="no test run was observed")
    if not isinstance(expectation.baseline, dict):
        return Violation(kind=expectation.kind, message="there is no baseline to compare with")
    baseline, report = _report(expectation.baseline), _report(seen.tests)
    if baseline is None or report is None:
        return _unreadable(expectation.kind, "the baseline" if baseline is None else "the observed test report")
    regressions = report.worse_than(baseline)
    if not regressions:
        return _partial(expectation.kind, report)
    shown = [regression.model_dump(mode="json") for regression in regressions[:_SHOWN]]
    return Violation(
        kind=expectation.kind,
        message=f"{worse(len(regressions))} than before: {regressions[0].id}",
        evidence={"regressions": shown, "count": len(regressions)},
    )


def _partial(kind: str, report: TestReport) -> Violation | None:
    """Good news of a part is no news of the whole."""
    if not report.selected:
        return None
    return Violation(kind=kind, message=f"only {len(report.selected)} test files were run, not the whole suite")


def _report(raw: dict[str, Any]) -> TestReport | None:
    """The report, if it is one: what comes from outside must not stop whoever judges it."""
    try:
        return TestReport.model_validate(raw)
    except ValidationError:
        return None


def _unreadable(kind: str, what: str) -> Violation:
    return Violation(kind=kind, message=f"{what} is no test report that this release can read")
