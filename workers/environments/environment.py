"""A ready environment, and how a workspace stands in front of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds what a project's tests need, but not the project's own code.

    Attributes:
        python: its interpreter.
        key: the content hash it is kept under.
        read_only_paths: what a sandbox must show for it to work: the environment and the interpreter's home.
        notes: what was guessed, left out or could not be installed.
    """

    python: Path
    key: str
    read_only_paths: tuple[Path, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def site_packages(self) -> Path:
        """Where its distributions are."""
        venv = self.python.parent.parent
        return next(iter(sorted(venv.glob("lib/python3*/site-packages"))), venv / "lib" / "site-packages")

    @cached_property
    def distributions(self) -> dict[str, str]:
        """Version by canonical name of everything installed."""
        found = {}
        for path in self.site_packages.glob("*.dist-info"):
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            found[str(canonicalize_name(name))] = version
        return found

    def has(self, distribution: str) -> bool:
        """Whether a distribution is installed."""
        return str(canonicalize_name(distribution)) in self.distributions

    def pythonpath(self, project_folder: Path) -> tuple[Path, ...]:
        """What PYTHONPATH must begin with, so that the code under test is the workspace's."""
        return source_roots(project_folder)


def source_roots(folder: Path) -> tuple[Path, ...]:
    """The folders that hold a project's importable code: ``src`` or ``lib`` where it is there, and always the root."""
    roots = [folder / name for name in ("src", "lib", "python") if _holds_code(folder / name)]
    return (*roots, folder)


def _holds_code(path: Path) -> bool:
    if not path.is_dir() or (path / "__init__.py").exists():  # a package named src is imported as src
        return False
    return any(path.glob("*.py")) or any(path.glob("*/__init__.py")) or any(path.glob("*/*/__init__.py"))


def base_python() -> Path:
    """The interpreter this process runs on, outside of any virtual environment."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)
    return base if base.exists() else Path(sys.executable)
