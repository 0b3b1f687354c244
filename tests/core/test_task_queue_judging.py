"""Every kind of expectation, where it holds and where it does not."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from orchestrator.task_queue.judging import judge
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
)
from schemas.test_report import TestCase, TestReport


def report(outcome: Any, **cases: Any) -> dict[str, Any]:
    made = tuple(TestCase(id=name, outcome=each) for name, each in cases.items())
    return TestReport(outcome=outcome, cases=made, tail="the end").model_dump(mode="json")


GREEN = report("passed", one="passed", two="passed")
HALF = report("failed", one="passed", two="failed")
CHANGED = {"src/a.py": "modified", "src/b.py": "added"}

HOLDS: list[tuple[Expectation, Observation]] = [
    (FilesChangedWithin(patterns=("src/*",), at_least=2), Observation(changes=CHANGED)),
    (FilesChangedWithin(patterns="src/?.py"), Observation(changes=CHANGED)),
    (FilesChangedWithin(patterns=()), Observation(changes={})),
    (FilesUnchanged(), Observation(changes={})),
    (TestsPass(), Observation(tests=GREEN)),
    (TestsNoWorse(baseline=HALF), Observation(tests=HALF)),
    (TestsNoWorse(baseline=HALF), Observation(tests=GREEN)),
    (ExitCode(), Observation(exit_code=0)),
    (ExitCode(code=3), Observation(exit_code=3)),
    (OutputHas(keys=("n", "zero")), Observation()),
    (MaxDuration(seconds=2), Observation(duration_s=2.0)),
]
VIOLATED: list[tuple[Expectation, Observation, str]] = [
    (FilesChangedWithin(patterns=("src/a*",)), Observation(changes=CHANGED), "unexpected change of src/b.py"),
    (FilesChangedWithin(patterns=("*",), at_least=3), Observation(changes=CHANGED), "2 files changed, at least 3"),
    (FilesChangedWithin(patterns=("*",)), Observation(), "no workspace was observed"),
    (FilesUnchanged(), Observation(changes=CHANGED), "changed src/a.py, src/b.py"),
    (FilesUnchanged(), Observation(), "no workspace was observed"),
    (TestsPass(), Observation(tests=HALF), "the tests ended failed"),
    (TestsPass(), Observation(tests=report("no_tests")), "the tests ended no_tests"),
    (TestsPass(), Observation(), "no test run was observed"),
    (TestsPass(), Observation(tests={"made": "up"}), "the observed test report is no test report"),
    (TestsNoWorse(baseline=GREEN), Observation(tests=HALF), "1 test is worse than before: two"),
    (TestsNoWorse(baseline=GREEN), Observation(), "no test run was observed"),
    (TestsNoWorse(baseline="${lost}"), Observation(tests=GREEN), "there is no baseline"),
    (TestsNoWorse(baseline={"made": "up"}), Observation(tests=GREEN), "the baseline is no test report"),
    (TestsNoWorse(baseline=GREEN), Observation(tests={"made": "up"}), "the observed test report is no test report"),
    (ExitCode(), Observation(exit_code=1), "exit code 1 where 0 was expected"),
    (ExitCode(), Observation(), "exit code None where 0 was expected"),
    (OutputHas(keys=("n", "nothing", "null")), Observation(), "the output lacks nothing, null"),
    (MaxDuration(seconds=2), Observation(duration_s=2.06), "took 2.1 s, at most 2 s were expected"),
]


def finished(observation: Observation) -> AttemptFinished:
    output = {"n": 1, "zero": 0, "null": None}
    return AttemptFinished(task="t", attempt=1, worker="w", outcome="succeeded", output=output, observation=observation)


@pytest.mark.parametrize(("expected", "seen"), HOLDS)
def test_what_holds_is_no_violation(expected: Expectation, seen: Observation) -> None:
    assert judge((expected,), finished(seen)) == ()


@pytest.mark.parametrize(("expected", "seen", "message"), VIOLATED)
def test_what_does_not_hold_is_a_violation_that_says_so(expected: Expectation, seen: Observation, message: str) -> None:
    (violation,) = judge((expected,), finished(seen))
    assert violation.kind == expected.kind
    assert message in violation.message


def test_every_kind_is_tried_both_ways() -> None:
    kinds = set(get_args(get_args(Expectation)[0]))
    assert {type(expected) for expected, _ in HOLDS} == kinds
    assert {type(expected) for expected, _, _ in VIOLATED} == kinds


def test_all_that_does_not_hold_is_said_in_the_order_of_what_was_expected() -> None:
    expects = (ExitCode(), OutputHas(keys=("n",)), TestsPass())
    assert [violation.kind for violation in judge(expects, finished(Observation()))] == ["exit_code", "tests_pass"]


def test_evidence_of_many_changes_is_cut() -> None:
    changes = {f"f{number:03}": "added" for number in range(100)}
    (violation,) = judge((FilesUnchanged(),), finished(Observation(changes=changes)))
    assert violation.evidence == {"paths": [f"f{number:03}" for number in range(20)]}
