"""Every kind of expectation, where it holds and where it does not."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from orchestrator.task_queue.judging import judge
from schemas.events.attempt import AttemptFinished
from schemas.expectations import (
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
    (FilesChanged(patterns=("src/a*", "src/b*")), Observation(changes=CHANGED)),
    (TestsNamed(tests=("one",)), Observation(tests=HALF)),
    (Compiles(), Observation(changes=CHANGED, unreadable={})),
    (MaxMemory(megabytes=10), Observation(peak_memory_bytes=2**20)),
    (MaxCpu(seconds=1), Observation(cpu_s=1.0)),
    (Holds(condition="len(changes) == 2 and exit_code is None"), Observation(changes=CHANGED)),
    (OutputSchema(fits={"type": "object"}), Observation()),
    (FreshInput(), Observation(changes=CHANGED)),
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
    (FilesChanged(patterns=("src/a*", "docs/*")), Observation(changes=CHANGED), "no change of docs/*"),
    (FilesChanged(patterns=("a",)), Observation(), "no workspace was observed"),
    (TestsNamed(tests=("one", "two")), Observation(tests=HALF), "two: failed"),
    (TestsNamed(tests=("three",)), Observation(tests=GREEN), "three: not run"),
    (Compiles(), Observation(changes=CHANGED, unreadable={"src/a.py": "line 1: no"}), "src/a.py cannot be parsed"),
    (Compiles(), Observation(), "no workspace was observed"),
    (MaxMemory(megabytes=1), Observation(peak_memory_bytes=2**21), "used 2 MiB, at most 1 MiB"),
    (MaxMemory(megabytes=1), Observation(), "no memory was observed"),
    (MaxCpu(seconds=1), Observation(cpu_s=1.04), "used 1.0 s of processor time, at most 1 s"),
    (MaxCpu(seconds=1), Observation(), "no processor time was observed"),
    (Holds(condition="output.n > 1"), Observation(), "it does not hold that output.n > 1"),
    (Holds(condition="output.m > 1"), Observation(), "it cannot be told whether output.m > 1"),
    (OutputSchema(fits={"required": ["m"]}), Observation(), "output lacks m"),
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
    assert {type(expected) for expected, _, _ in VIOLATED} | {FreshInput} == kinds


def test_all_that_does_not_hold_is_said_in_the_order_of_what_was_expected() -> None:
    expects = (ExitCode(), OutputHas(keys=("n",)), TestsPass())
    assert [violation.kind for violation in judge(expects, finished(Observation()))] == ["exit_code", "tests_pass"]


def test_evidence_of_many_changes_is_cut() -> None:
    changes = {f"f{number:03}": "added" for number in range(100)}
    (violation,) = judge((FilesUnchanged(),), finished(Observation(changes=changes)))
    assert violation.evidence == {"paths": [f"f{number:03}" for number in range(20)]}


def test_a_file_that_moved_meanwhile_is_stale_input() -> None:
    (violation,) = judge((FreshInput(),), finished(Observation(changes=CHANGED)), moved={"src/a.py": "other"})
    assert violation.category == "stale_input"
    assert violation.message == "changed by another task meanwhile: src/a.py (other)"


@pytest.mark.parametrize(
    ("expected", "seen", "category"),
    [
        (TestsPass(), Observation(tests=HALF), "test_failed"),
        (TestsPass(), Observation(), "false_done"),
        (TestsPass(), Observation(tests=report("timeout")), "timeout"),
        (TestsNoWorse(baseline=GREEN), Observation(tests=HALF), "test_failed"),
        (Compiles(), Observation(unreadable={"a.py": "no"}), "compile_error"),
        (FilesChangedWithin(patterns=("a",)), Observation(changes=CHANGED), "unexpected_change"),
        (FilesChangedWithin(patterns=("*",), at_least=3), Observation(changes=CHANGED), "missing_change"),
        (FilesChanged(patterns=("a",)), Observation(changes=CHANGED), "missing_change"),
        (MaxDuration(seconds=1), Observation(duration_s=2), "limit_exceeded"),
        (OutputHas(keys=("m",)), Observation(), "schema_broken"),
        (OutputSchema(fits={"required": ["m"]}), Observation(), "schema_broken"),
        (ExitCode(), Observation(exit_code=2), "wrong_result"),
        (ExitCode(), Observation(), "false_done"),
    ],
)
def test_categories(expected: Expectation, seen: Observation, category: str) -> None:
    (violation,) = judge((expected,), finished(seen))
    assert violation.category == category
