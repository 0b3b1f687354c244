"""The command line and the environment of one pytest run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.environments import Environment

XML_NAME = "junit.xml"
COVERAGE_DATA = "coverage.data"
COVERAGE_JSON = "coverage.json"

EVEN_SO = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "PY_COLORS": "0",
    "NO_COLOR": "1",
    "COLUMNS": "100",
    "TZ": "UTC",
    "CI": "",
    "PYTHONFAULTHANDLER": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run: of which tests, in which copy, with the report in which folder."""

    environment: Environment
    copy: Path
    report: Path
    only: tuple[str, ...] = ()
    deselect: tuple[str, ...] = ()
    coverage: bool = False
    plain: bool = False

    def command(self) -> list[str]:
        """``plain`` drops the project's own default arguments."""
        python = str(self.environment.python)
        return [python, *(self._under_coverage() if self.coverage else []), "-m", "pytest", *self._arguments()]

    def _under_coverage(self) -> list[str]:
        data = f"--data-file={self.report / COVERAGE_DATA}"
        return [
            "-m",
            "coverage",
            "run",
            data,
            "--branch",
            "--source=.",
            "--omit=*/tests/*,*/test_*.py,*/conftest.py,setup.py",
        ]

    def _arguments(self) -> list[str]:
        has = self.environment.has
        arguments = [
            *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:sugar", "-p", "no:random_order"),
            *("-q", "-ra", "--color=no", "--tb=short", "--continue-on-collection-errors"),
            *("-o", "junit_family=xunit1", "-o", "junit_logging=no", f"--junit-xml={self.report / XML_NAME}"),
            f"--rootdir={self.copy}",
        ]
        if self.plain:
            arguments += ["-o", "addopts="]
        if has("pytest-cov"):
            arguments.append("--no-cov")  # the project's own measuring only slows the run
        return [*arguments, *(f"--deselect={test}" for test in self.deselect), *self.only]

    def env(self) -> dict[str, str]:
        """The workspace stands before the environment's packages, so its code is the code under test."""
        paths = [str(path) for path in self.environment.pythonpath(self.copy)]
        bin_folder = str(self.environment.python.parent)
        env = {**EVEN_SO, "PYTHONPATH": ":".join(paths), "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin"}
        return env | {"VIRTUAL_ENV": str(self.environment.python.parent.parent)}


def node_ids(given: Sequence[str] | None) -> tuple[str, ...]:
    """Test ids to run. One that looks like an option is told to pytest as a path."""
    return tuple(f"./{test}" if test.startswith("-") else test for test in given or ())
