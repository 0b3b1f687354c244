"""What the analyzer finds in a repository, what it offers to mend, and what the coder changed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.shape import Shape


class Severity(StrEnum):
    """How bad a finding is: ``error`` is wrong whenever it runs, ``warning`` may be wrong, ``info`` reads badly."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _inside(path: str) -> str:
    """Refuse a path that could leave the repository: these paths are joined to folders and written to."""
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not a path inside a repository: {path!r}")
    return path


RepositoryPath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
RuleName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
GroupId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]


class Finding(Shape):
    """One flaw at one place.

    ``line``, ``column`` and ``end_line`` count from 1; columns count characters, not bytes. ``fix_group`` names the
    group that mends this finding; a finding may be ``fixable`` and in no group when its file is not to be touched.
    """

    rule: RuleName
    message: str = Field(max_length=300)
    path: RepositoryPath
    line: int = Field(ge=1)
    column: int = Field(ge=1)
    end_line: int | None = Field(default=None, ge=1)
    severity: Severity
    detector: Literal["ruff", "ast", "complexity", "files"]
    fixable: bool = False
    fix_group: GroupId | None = None


class FixGroup(Shape):
    """Fixes of one kind that make one reviewable patch. The id serves as a task id."""

    id: GroupId
    title: str = Field(min_length=1, max_length=120)
    kind: Literal["ruff", "codemod"]
    rules: tuple[RuleName, ...] = Field(min_length=1)
    files: tuple[RepositoryPath, ...] = Field(min_length=1)
    findings: int = Field(ge=1)
    files_left: int = Field(default=0, ge=0, description="files with such findings beyond the size of one patch")
    why_safe: str = Field(max_length=400)


class FunctionComplexity(Shape):
    """McCabe's number of one function; ``name`` is qualified within its module."""

    path: RepositoryPath
    name: str
    line: int = Field(ge=1)
    complexity: int = Field(ge=1)


class ComplexitySummary(Shape):
    """McCabe's numbers over all functions; ``worst`` lists the highest first."""

    functions: int = Field(ge=0)
    mean: float = Field(ge=0)
    highest: int = Field(ge=0)
    over_ten: int = Field(ge=0, description="functions above 10, the limit that McCabe proposed")
    worst: tuple[FunctionComplexity, ...] = ()


class Analysis(Shape):
    """Everything the analyzer has to say about one repository. Equal folders give equal analyses."""

    language: Literal["python"] = "python"
    python: str = Field(pattern=r"^\d+\.\d+$", description="the oldest Python that the repository supports")
    files: int = Field(ge=0, description="files analysed")
    lines: int = Field(ge=0)
    skipped: int = Field(ge=0, description="Python files seen and left alone: vendored, generated, too large, …")
    total: int = Field(ge=0, description="all findings, also those that are not listed")
    truncated: int = Field(ge=0, description="findings that are counted and not listed")
    by_rule: dict[str, int]
    by_severity: dict[Severity, int]
    findings: tuple[Finding, ...]
    groups: tuple[FixGroup, ...]
    groups_left: int = Field(default=0, ge=0, description="groups beyond the limit: run again after these are merged")
    complexity: ComplexitySummary


class Applied(Shape):
    """What applying one group did: the files that changed, the findings gone per rule, and what was left and why."""

    group: GroupId
    files: tuple[RepositoryPath, ...]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the folder differs from before."""
        return bool(self.files)
