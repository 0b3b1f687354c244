"""What must hold after an action. The system looks for itself; an agent's word is never proof."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from schemas.conditions import check_condition
from schemas.json_shape import check_shape
from schemas.shape import Shape


class _Expected(Shape):
    @model_serializer(mode="wrap")
    def _with_kind(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Defaults are left out on the wire, but the kind is what tells one expectation from another.
        return {"kind": getattr(self, "kind"), **plain(self)}  # noqa: B009 - declared by every subclass


class FilesChangedWithin(_Expected):
    """Only files that match one of the patterns may differ from the workspace the task was given.

    Patterns are those of :func:`fnmatch.fnmatchcase` over POSIX paths; ``at_least`` asks for a real change.
    """

    kind: Literal["files_changed_within"] = "files_changed_within"
    patterns: tuple[str, ...] | str = Field(description="patterns, or a reference to a list of them")
    at_least: int = 0


class FilesUnchanged(_Expected):
    """The workspace is as it was."""

    kind: Literal["files_unchanged"] = "files_unchanged"


class TestsPass(_Expected):
    """The observed test report has no failure, no error, and at least one passing test."""

    __test__ = False
    kind: Literal["tests_pass"] = "tests_pass"


class TestsNoWorse(_Expected):
    """Every test that passed in the baseline passes still, and no test fails that did not fail there."""

    __test__ = False
    kind: Literal["tests_no_worse"] = "tests_no_worse"
    baseline: dict[str, Any] | str = Field(description="a test report, or a reference to one")


class ExitCode(_Expected):
    """The last observed process ended with this code."""

    kind: Literal["exit_code"] = "exit_code"
    code: int = 0


class OutputHas(_Expected):
    """The output has these keys, and none of them is null."""

    kind: Literal["output_has"] = "output_has"
    keys: tuple[str, ...]


class MaxDuration(_Expected):
    """The attempt took at most this many seconds, by the worker's monotonic clock."""

    kind: Literal["max_duration"] = "max_duration"
    seconds: float = Field(gt=0)


class FilesChanged(_Expected):
    """Each of the patterns matches a file that was changed, added or deleted."""

    kind: Literal["files_changed"] = "files_changed"
    patterns: tuple[str, ...] | str = Field(description="patterns, or a reference to a list of them")


class TestsNamed(_Expected):
    """Each of these tests ran and passed."""

    __test__ = False
    kind: Literal["tests_named"] = "tests_named"
    tests: tuple[str, ...] = Field(description="ids as pytest writes them: tests/test_a.py::test_b")


class Compiles(_Expected):
    """Every Python file that was changed or added can be parsed; looked at by the worker itself after the agent."""

    kind: Literal["compiles"] = "compiles"


class OutputSchema(_Expected):
    """The output fits a JSON Schema; of its keywords, those in :mod:`schemas.json_shape` are understood."""

    kind: Literal["output_schema"] = "output_schema"
    fits: dict[str, Any] = Field(description="the schema")

    @field_validator("fits")
    @classmethod
    def _known_keywords(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_shape(value)
        return value


class Holds(_Expected):
    """An expression over ``output``, ``inputs``, ``changes``, ``tests``, ``exit_code``, ``duration_s`` and ``tools``
    is true; see :mod:`schemas.conditions`."""

    kind: Literal["holds"] = "holds"
    condition: str = Field(max_length=500)

    @field_validator("condition")
    @classmethod
    def _readable(cls, value: str) -> str:
        check_condition(value)
        return value


class MaxMemory(_Expected):
    """The programs that a tool ran never held more memory together, nor did the agent's process grow by more.

    Enforced while the attempt runs: programs are killed at it, an agent is stopped.
    """

    kind: Literal["max_memory"] = "max_memory"
    megabytes: float = Field(gt=0)


class MaxCpu(_Expected):
    """The attempt used at most this much processor time: the programs that tools ran, and the agent itself.

    Enforced while the attempt runs: programs are killed at it, an agent is stopped. Making the environment of a
    repository does not count.
    """

    kind: Literal["max_cpu"] = "max_cpu"
    seconds: float = Field(gt=0)


class FreshInput(_Expected):
    """No other task that counts has changed, meanwhile, the files that this attempt changed.

    Told from what tasks claim with ``writes``. The next attempt begins with what the others made.
    """

    kind: Literal["fresh_input"] = "fresh_input"


Expectation = Annotated[
    FilesChangedWithin
    | FilesUnchanged
    | FilesChanged
    | TestsPass
    | TestsNoWorse
    | TestsNamed
    | Compiles
    | ExitCode
    | OutputHas
    | OutputSchema
    | Holds
    | MaxDuration
    | MaxMemory
    | MaxCpu
    | FreshInput,
    Field(discriminator="kind"),
]

Category = Literal[
    "test_failed",
    "compile_error",
    "unexpected_change",
    "missing_change",
    "stale_input",
    "false_done",
    "wrong_result",
    "timeout",
    "limit_exceeded",
    "schema_broken",
    "other",
]
"""What kind of difference it is: what recovery rules are chosen by. ``false_done``: it was said to be done, and what
would show it was not there to be seen."""


class Violation(Shape):
    """The difference between what was expected and what was observed."""

    kind: str = Field(description="the expectation that does not hold")
    message: str
    category: Category = "other"
    evidence: dict[str, Any] = Field(default_factory=dict)


class Observation(Shape):
    """What the system measured around one attempt.

    Attributes:
        changes: path to ``added``, ``modified`` or ``deleted``, by comparing content hashes; None without a workspace.
        contents: path to git's id of the content, for what was added or modified; None where nothing was compared.
        tests: the last test report that the test tool produced in this attempt.
        exit_code: of the last process that a tool ran.
        duration_s: wall time of the attempt.
        tools: how often each tool was called.
        unreadable: path to what is wrong with it, for changed Python files that no parser takes; None if nobody looked.
        peak_memory_bytes: the most that the programs of one sandboxed run held together, or by which the process
            grew; None where nobody could measure.
        cpu_s: processor time of the attempt: of its programs and the agent itself; None in events of older releases.
    """

    changes: dict[str, str] | None = None
    contents: dict[str, str] | None = None
    tests: dict[str, Any] | None = None
    exit_code: int | None = None
    duration_s: float = 0.0
    tools: dict[str, int] = Field(default_factory=dict)
    unreadable: dict[str, str] | None = None
    peak_memory_bytes: int | None = None
    cpu_s: float | None = None
