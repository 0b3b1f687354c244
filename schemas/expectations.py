"""What must hold after an action. The system looks for itself; an agent's word is never proof."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Expected(_Shape):
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


Expectation = Annotated[
    FilesChangedWithin | FilesUnchanged | TestsPass | TestsNoWorse | ExitCode | OutputHas | MaxDuration,
    Field(discriminator="kind"),
]


class Violation(_Shape):
    """The difference between what was expected and what was observed."""

    kind: str = Field(description="the expectation that does not hold")
    message: str
    evidence: dict[str, Any] = Field(default_factory=dict)


class Observation(_Shape):
    """What the system measured around one attempt.

    Attributes:
        changes: path to ``added``, ``modified`` or ``deleted``, by comparing content hashes; None without a workspace.
        contents: path to git's id of the content, for what was added or modified; None where nothing was compared.
        tests: the last test report that the test tool produced in this attempt.
        exit_code: of the last process that a tool ran.
        duration_s: wall time of the attempt.
        tools: how often each tool was called.
    """

    changes: dict[str, str] | None = None
    contents: dict[str, str] | None = None
    tests: dict[str, Any] | None = None
    exit_code: int | None = None
    duration_s: float = 0.0
    tools: dict[str, int] = Field(default_factory=dict)
