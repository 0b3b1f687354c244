"""What a test suite said, case by case, and how two such reports differ."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.shape import Shape

SuiteOutcome = Literal["passed", "failed", "no_tests", "broken", "timeout", "cancelled"]
CaseOutcome = Literal["passed", "failed", "error", "skipped", "xfailed"]
CutShort: frozenset[SuiteOutcome] = frozenset({"broken", "timeout", "cancelled"})

MESSAGE_CAP = 2000
TAIL_CAP = 4096


class _Report(Shape):
    __test__: ClassVar[bool] = False  # pytest must not take a class named Test… for a test


class TestCase(_Report):
    """One test. ``flaky`` means that it failed and then passed when it was run again alone."""

    id: str
    outcome: CaseOutcome
    duration_s: float = 0.0
    message: str = ""
    flaky: bool = False


class FileCoverage(_Report):
    """The lines of one file, relative to the workspace, that no test ran; percent of its statements that ran."""

    path: str
    percent: float
    missing: tuple[int, ...] = ()


class Regression(_Report):
    """One test that is worse than it was: ``before`` may be absent, ``after`` may be vanished."""

    id: str
    before: str
    after: str
    message: str = ""


class TestReport(_Report):
    """One run of a suite.

    Attributes:
        outcome: ``broken`` when tests could not be collected, or the run crashed or outgrew its memory; the cases that
            did run are kept.
        cases: every test in the order it ended.
        tail: the last 4 KiB of the output.
        notes: what was done differently than the project asks for, and why.
        selected: the test files that were run, where it was not the whole suite.
        coverage: per file, when it was asked for and could be measured; ``coverage_percent`` for all files together.
    """

    outcome: SuiteOutcome
    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    xfailed: int = 0
    flaky: int = 0
    cases: tuple[TestCase, ...] = ()
    duration_s: float = 0.0
    exit_code: int = 0
    sandbox: str = ""
    notes: tuple[str, ...] = ()
    tail: str = ""
    coverage_percent: float | None = None
    coverage: tuple[FileCoverage, ...] = ()
    selected: tuple[str, ...] = ()

    def worse_than(self, baseline: TestReport) -> tuple[Regression, ...]:
        """What is worse than in ``baseline``; empty means "as green as it was".

        Worse is: a test that passed and now fails, is skipped, is expected to fail or is gone; a test that did not fail
        and now does, new ones included; a suite cut short that was not. Tests that were flaky are excused.
        """
        before = {case.id: case for case in baseline.cases}
        after = {case.id: case for case in self.cases}
        found = [*_suite_regression(baseline, self)]
        for id_, case in after.items():
            found += _case_regression(before.get(id_), case)
        for id_, case in before.items():
            if case.outcome == "passed" and not case.flaky and id_ not in after and self.covers(id_):
                found.append(Regression(id=id_, before="passed", after="vanished"))
        return tuple(found)

    def covers(self, test: str) -> bool:
        """Whether a test of this id belongs to what was run."""
        return not self.selected or test.partition("::")[0] in self.selected

    def summary(self) -> str:
        """One line for people: ``failed: 3 passed, 1 failed``."""
        counts = {n: getattr(self, n) for n in ("passed", "failed", "error", "skipped", "xfailed", "flaky")}
        return f"{self.outcome}: " + (", ".join(f"{n} {name}" for name, n in counts.items() if n) or "nothing ran")


def _suite_regression(before: TestReport, after: TestReport) -> list[Regression]:
    if after.outcome not in CutShort or before.outcome in CutShort:
        return []
    return [Regression(id="<suite>", before=before.outcome, after=after.outcome, message=after.tail[-MESSAGE_CAP:])]


def _case_regression(before: TestCase | None, after: TestCase) -> list[Regression]:
    was = before.outcome if before is not None else "absent"
    lost = was == "passed" and after.outcome != "passed" and not (before is not None and before.flaky)
    new_failure = was not in {"passed", "failed", "error"} and after.outcome in {"failed", "error"}
    if not lost and not new_failure:
        return []
    return [Regression(id=after.id, before=was, after=after.outcome, message=after.message)]
