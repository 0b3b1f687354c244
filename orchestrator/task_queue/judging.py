"""Expected against observed. Pure: everything needed is in the report and in what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from schemas.conditions import holds
from schemas.events.attempt import AttemptFinished
from schemas.expectations import (
    Category,
    Compiles,
    ExitCode,
    Expectation,
    FilesChanged,
    FilesChangedWithin,
    FilesUnchanged,
    FreshInput,
    Holds,
    MaxCpu,
    MaxDuration,
    MaxMemory,
    Observation,
    OutputHas,
    OutputSchema,
    TestsNamed,
    TestsNoWorse,
    TestsPass,
    Violation,
)
from schemas.json_shape import misfits
from schemas.test_report import TestReport

_SHOWN = 20


def judge(
    expects: Sequence[Expectation],
    finished: AttemptFinished,
    *,
    inputs: Mapping[str, Any] = MappingProxyType({}),
    moved: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Violation, ...]:
    """What does not hold; empty if the world is as expected.

    Args:
        inputs: what the attempt was given.
        moved: changed path to the task that has changed it as well, meanwhile.
    """
    found = []
    for expectation in expects:
        if isinstance(expectation, FreshInput):
            violation = _fresh(expectation.kind, moved)
        elif isinstance(expectation, Holds):
            violation = _holds(expectation, finished, inputs)
        else:
            violation = _CHECKS[type(expectation)](expectation, finished)
        if violation is not None:
            found.append(violation)
    return tuple(found)


def _lacks(expectation: OutputHas, finished: AttemptFinished) -> Violation | None:
    missing = [key for key in expectation.keys if finished.output.get(key) is None]
    message = f"the output lacks {', '.join(missing)}"
    return Violation(kind=expectation.kind, message=message, category="schema_broken") if missing else None


def _shaped(expectation: OutputSchema, finished: AttemptFinished) -> Violation | None:
    wrong = list(islice(misfits(finished.output, expectation.fits), _SHOWN))
    if not wrong:
        return None
    return Violation(kind=expectation.kind, message=wrong[0], category="schema_broken", evidence={"misfits": wrong})


def _duration(expectation: MaxDuration, seen: Observation) -> Violation | None:
    if seen.duration_s <= expectation.seconds:
        return None
    message = f"took {seen.duration_s:.1f} s, at most {expectation.seconds:g} s were expected"
    return Violation(kind=expectation.kind, message=message, category="limit_exceeded")


def _not_seen(kind: str, message: str) -> Violation:
    """It is said to be done, and there is nothing to see of it."""
    return Violation(kind=kind, message=message, category="false_done")


def _exit_code(expectation: ExitCode, seen: Observation) -> Violation | None:
    if seen.exit_code == expectation.code:
        return None
    message = f"exit code {seen.exit_code} where {expectation.code} was expected"
    category: Category = "false_done" if seen.exit_code is None else "wrong_result"
    return Violation(kind=expectation.kind, message=message, category=category)


def _holds(expectation: Holds, finished: AttemptFinished, inputs: Mapping[str, Any]) -> Violation | None:
    seen = finished.observation.model_dump(mode="json")
    values = {name: seen[name] for name in ("changes", "tests", "exit_code", "duration_s", "tools")}
    try:
        if holds(expectation.condition, {**values, "output": finished.output, "inputs": dict(inputs)}):
            return None
        message = f"it does not hold that {expectation.condition}"
    except ValueError as error:
        message = f"it cannot be told whether {expectation.condition}: {error}"
    return Violation(kind=expectation.kind, message=message, category="wrong_result")


def _fresh(kind: str, moved: Mapping[str, str]) -> Violation | None:
    if not moved:
        return None
    shown = ", ".join(f"{path} ({task})" for path, task in sorted(moved.items())[:3])
    message = f"changed by another task meanwhile: {shown}"
    return Violation(kind=kind, message=message, category="stale_input", evidence={"moved": dict(moved)})


def _memory(expectation: MaxMemory, seen: Observation) -> Violation | None:
    if seen.peak_memory_bytes is None:
        return _not_seen(expectation.kind, "no memory was observed: pools of threads cannot tell whose it is")
    used = seen.peak_memory_bytes / 2**20
    if used <= expectation.megabytes:
        return None
    message = f"used {used:.0f} MiB, at most {expectation.megabytes:g} MiB were expected"
    return Violation(kind=expectation.kind, message=message, category="limit_exceeded")


def _cpu(expectation: MaxCpu, seen: Observation) -> Violation | None:
    if seen.cpu_s is None:
        return _not_seen(expectation.kind, "no processor time was observed")
    if seen.cpu_s <= expectation.seconds:
        return None
    message = f"used {seen.cpu_s:.1f} s of processor time, at most {expectation.seconds:g} s were expected"
    return Violation(kind=expectation.kind, message=message, category="limit_exceeded")


def _compiles(kind: str, seen: Observation) -> Violation | None:
    if seen.unreadable is None:
        return _not_seen(kind, "no workspace was observed")
    if not seen.unreadable:
        return None
    path, error = min(seen.unreadable.items())
    evidence = {"files": dict(sorted(seen.unreadable.items())[:_SHOWN])}
    return Violation(
        kind=kind, message=f"{path} cannot be parsed: {error}", category="compile_error", evidence=evidence
    )


def _changed(expectation: FilesChanged, seen: Observation) -> Violation | None:
    if seen.changes is None:
        return _not_seen(expectation.kind, "no workspace was observed")
    patterns = (expectation.patterns,) if isinstance(expectation.patterns, str) else expectation.patterns
    missing = [one for one in patterns if not any(fnmatchcase(path, one) for path in seen.changes)]
    if not missing:
        return None
    message = f"no change of {', '.join(missing[:3])}"
    evidence = {"missing": missing[:_SHOWN], "changed": sorted(seen.changes)[:_SHOWN]}
    return Violation(kind=expectation.kind, message=message, category="missing_change", evidence=evidence)


def _named(expectation: TestsNamed, seen: Observation) -> Violation | None:
    if seen.tests is None:
        return _not_seen(expectation.kind, "no test run was observed")
    report = _report(seen.tests)
    if report is None:
        return _unreadable(expectation.kind, "the observed test report")
    outcomes = {case.id: case.outcome for case in report.cases}
    wrong = {test: outcomes.get(test, "not run") for test in expectation.tests if outcomes.get(test) != "passed"}
    if not wrong:
        return None
    first = next(iter(wrong))
    category: Category = "false_done" if set(wrong.values()) == {"not run"} else "test_failed"
    message = f"{first}: {wrong[first]}{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}"
    return Violation(kind=expectation.kind, message=message, category=category, evidence={"tests": wrong})


def _changed_within(expectation: FilesChangedWithin, seen: Observation) -> Violation | None:
    if seen.changes is None:
        return _not_seen(expectation.kind, "no workspace was observed")
    patterns = (expectation.patterns,) if isinstance(expectation.patterns, str) else expectation.patterns
    outside = sorted(p for p in seen.changes if not any(fnmatchcase(p, pattern) for pattern in patterns))
    if outside:
        return Violation(
            kind=expectation.kind,
            message=f"unexpected change of {', '.join(outside[:3])}{' and others' if len(outside) > 3 else ''}",
            category="unexpected_change",
            evidence={"paths": outside[:_SHOWN]},
        )
    if len(seen.changes) < expectation.at_least:
        message = f"{len(seen.changes)} files changed, at least {expectation.at_least} should"
        return Violation(kind=expectation.kind, message=message, category="missing_change")
    return None


def _unchanged(kind: str, seen: Observation) -> Violation | None:
    if seen.changes is None:
        return _not_seen(kind, "no workspace was observed")
    if not seen.changes:
        return None
    paths = sorted(seen.changes)
    message = f"changed {', '.join(paths[:3])}"
    return Violation(kind=kind, message=message, category="unexpected_change", evidence={"paths": paths[:_SHOWN]})


def _tests_pass(kind: str, seen: Observation) -> Violation | None:
    if seen.tests is None:
        return _not_seen(kind, "no test run was observed")
    report = _report(seen.tests)
    if report is None:
        return _unreadable(kind, "the observed test report")
    if report.outcome == "passed":
        return _partial(kind, report)
    return Violation(
        kind=kind,
        message=f"the tests ended {report.outcome}",
        category=_category_of(report),
        evidence={"tail": report.tail[-1000:]},
    )


def _category_of(report: TestReport) -> Category:
    if report.outcome == "timeout":
        return "timeout"
    if report.outcome == "broken" and any(name in report.tail for name in ("SyntaxError", "IndentationError")):
        return "compile_error"
    return "false_done" if report.outcome == "no_tests" else "test_failed"


def worse(count: int) -> str:
    """How many tests are worse, in words."""
    return "1 test is worse" if count == 1 else f"{count} tests are worse"


def _no_worse(expectation: TestsNoWorse, seen: Observation) -> Violation | None:
    if seen.tests is None:
        return _not_seen(expectation.kind, "no test run was observed")
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
        category="test_failed",
        evidence={"regressions": shown, "count": len(regressions)},
    )


def _partial(kind: str, report: TestReport) -> Violation | None:
    """Good news of a part is no news of the whole."""
    if not report.selected:
        return None
    return _not_seen(kind, f"only {len(report.selected)} test files were run, not the whole suite")


def _report(raw: dict[str, Any]) -> TestReport | None:
    """The report, if it is one: what comes from outside must not stop whoever judges it."""
    try:
        return TestReport.model_validate(raw)
    except ValidationError:
        return None


def _unreadable(kind: str, what: str) -> Violation:
    return Violation(
        kind=kind, message=f"{what} is no test report that this release can read", category="schema_broken"
    )


_CHECKS: dict[type[Any], Callable[[Any, AttemptFinished], Violation | None]] = {
    FilesChangedWithin: lambda expected, finished: _changed_within(expected, finished.observation),
    FilesUnchanged: lambda expected, finished: _unchanged(expected.kind, finished.observation),
    FilesChanged: lambda expected, finished: _changed(expected, finished.observation),
    TestsPass: lambda expected, finished: _tests_pass(expected.kind, finished.observation),
    TestsNoWorse: lambda expected, finished: _no_worse(expected, finished.observation),
    TestsNamed: lambda expected, finished: _named(expected, finished.observation),
    Compiles: lambda expected, finished: _compiles(expected.kind, finished.observation),
    ExitCode: lambda expected, finished: _exit_code(expected, finished.observation),
    OutputHas: _lacks,
    OutputSchema: _shaped,
    MaxDuration: lambda expected, finished: _duration(expected, finished.observation),
    MaxCpu: lambda expected, finished: _cpu(expected, finished.observation),
    MaxMemory: lambda expected, finished: _memory(expected, finished.observation),
}
"""How each kind is checked that needs no more than the report."""
