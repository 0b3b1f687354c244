"""The house is tidy: its packages are its own, its imports run one way, its rooms stay small."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.events import payload_types

ROOT = Path(__file__).resolve().parents[2]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["packages"]

# Folders that tools make, and files that are meant to be wrong.
_NOT_OURS = re.compile(r"^(\.(?!ci|github)[^/]*|node_modules|__pycache__|dist|build|[^/]+\.egg-info)$")
_FIXTURES = re.compile(r"^(tests/fixtures/|examples/[^/]+/broken/)")
_TEXTS = {".py", ".md", ".yml", ".yaml", ".toml"}

LONGEST_FUNCTION = 60
LONGEST_FILE = 400
# Exceptions, each with its present length: ``path`` or ``path::function``. The lists only shrink: an entry whose
# length is no longer exact has to be corrected downwards, one that is short enough has to go.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}


def sources() -> Iterator[Path]:
    """Every source file of the project, tracked or not yet, relative to its root."""
    for folder, inner, names in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if not _NOT_OURS.match(name))
        for name in sorted(names):
            path = (Path(folder) / name).relative_to(ROOT)
            if (path.suffix in _TEXTS or name == "Makefile") and not _FIXTURES.match(path.as_posix()):
                yield path


SOURCES = list(sources())
CODE = [path for path in SOURCES if path.suffix == ".py"]


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """``path::name`` and number of lines of every function, methods and inner ones included."""

    def walk(node: ast.AST, outer: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            inner = outer
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{outer}.{child.name}".lstrip(".")
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.as_posix()}::{inner}", (child.end_lineno or child.lineno) - child.lineno + 1
            yield from walk(child, inner)

    yield from walk(ast.parse(text(path), filename=str(path)), "")


def test_the_walk_finds_the_project() -> None:
    assert len(CODE) > 50
    assert Path("pyproject.toml") in SOURCES
    assert Path(__file__).relative_to(ROOT) in CODE


@pytest.mark.parametrize("package", PACKAGES)
def test_our_package_is_the_one_imported(package: str) -> None:
    """PyPI's Events, for one, also installs a module of the name ``events``."""
    found = importlib.import_module(package).__file__
    assert found is not None, f"{package} has no __init__.py"
    assert Path(found).parent == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert [path for path in SOURCES if drawers & {path.stem, *path.parts}] == []


def test_imports_run_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        assert os.environ.get("CI") != "true", "import-linter is missing: install the dev extra"
        pytest.skip("import-linter is not installed")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# The names are joined here so that this file does not hold what it forbids.
_MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["root", "work", "home"]) + r")/")


def test_no_source_knows_the_machine_it_was_written_on() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(text(path).splitlines(), 1)
        if _MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(("line", "refused"), [("cd {}x", True), ("'{}y'", True), ("docs{}x", False), ("a/b", False)])
def test_the_search_for_machine_paths_sees(line: str, refused: bool) -> None:
    for name in ("root", "work", "home"):
        assert bool(_MACHINE_PATH.search(line.format(f"/{name}/"))) is refused


@pytest.mark.parametrize("name", sorted(payload_types()))
def test_every_event_type_is_documented(name: str) -> None:
    written = inspect.cleandoc(vars(payload_types()[name]).get("__doc__") or "")
    assert len(written) >= 15
    assert written.endswith((".", "``", ")")), "a sentence, not a note"


def test_files_are_short() -> None:
    lengths = {path.as_posix(): len(text(path).splitlines()) for path in CODE}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == LONG_FILES


def test_functions_are_short() -> None:
    lengths = dict(found for path in CODE for found in functions(path))
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == LONG_FUNCTIONS
