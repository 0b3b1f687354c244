"""What the tools that come with us want to be told: the parameters of an action, by the skill that carries it out.

A worker's own agents may offer the same skill and want something else; so these shapes are asked for only where a task
says what it intends in one of our words (:mod:`orchestrator.task_queue.intents`).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.findings import FixGroup
from schemas.shape import Shape
from schemas.test_report import TestReport


class Parameters(Shape):
    """Parameters of a tool; what it does not know is refused."""


class AnalyzeParameters(Parameters):
    """Look for flaws. ``measured``: what the tests said of this tree; ``exclude``: patterns of paths to leave out."""

    measured: TestReport | None = None
    exclude: tuple[str, ...] = ()


class CodeParameters(Parameters):
    """Apply one group of safe fixes."""

    group: FixGroup


class TestParameters(Parameters):
    """Run the repository's own tests.

    Attributes:
        project: where the repository came from; ``requirement`` names the release.
        coverage: measure which lines ran.
        changed: files that differ from a tree whose tests ran before.
        affected_first: run the tests that reach ``changed`` first, the others only if these are as good as expected.
    """

    __test__ = False
    project: dict[str, Any] | None = None
    coverage: bool = False
    changed: tuple[str, ...] = ()
    affected_first: bool = False


class CommandParameters(Parameters):
    """Run a program in the sandbox, with the workspace as its folder.

    Attributes:
        argv: the program and its arguments; no shell reads them.
        env: variables beside the sandbox's own few.
        keep_changes: whether what it does to the workspace is the task's product.
    """

    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str] = Field(default_factory=dict)
    keep_changes: bool = True


class MergeParameters(Parameters):
    """Put the products of several tasks together and prove the whole.

    ``groups`` says of each side which fixes it is, so that one that conflicts can be made anew; ``names`` what it is
    called, where there are no groups: then a side that conflicts is left out.
    """

    sides: tuple[dict[str, Any], ...] = ()
    names: tuple[str, ...] = ()
    groups: tuple[FixGroup, ...] = ()
    baseline: TestReport | None = None
    project: dict[str, Any] | None = None
