"""Which test files can a change have touched: those that import what changed, directly or through others.

Read from the files' own import statements, without running them. What imports at run time by other means is not seen;
therefore the whole suite always runs in the end, and this only says where to begin.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from workers.environments.environment import source_roots
from workers.tools.python_code.source_files import collect

_TESTS = ("test_*.py", "*_test.py")


def affected_tests(folder: Path, changed: Sequence[str]) -> tuple[str, ...] | None:
    """The test files that reach one of the changed files; None if that cannot be told.

    It cannot be told where something other than a Python module changed, or a ``conftest.py``, or a file that is gone.

    Raises:
        InvalidSource: there is no Python in the folder.
    """
    files = collect(folder).contents
    if any(path not in files or Path(path).name == "conftest.py" for path in changed):
        return None
    modules = _modules(folder, files)
    importers: dict[str, set[str]] = {}
    for path, data in files.items():
        for imported in _imports(data, _package_of(folder, path)):
            for target in _files_of(imported, modules):
                importers.setdefault(target, set()).add(path)
    reached, waiting = set(changed), list(changed)
    while waiting:
        for path in importers.get(waiting.pop(), ()):
            if path not in reached:
                reached.add(path)
                waiting.append(path)
    return tuple(sorted(path for path in reached if _is_test(path)))


def _is_test(path: str) -> bool:
    return any(fnmatchcase(Path(path).name, pattern) for pattern in _TESTS)


def _modules(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Dotted name to file, seen from every root that code is imported from."""
    found: dict[str, str] = {}
    for root in source_roots(folder):
        prefix = "" if root == folder else f"{root.relative_to(folder).as_posix()}/"
        for path in files:
            if path.startswith(prefix):
                name = path[len(prefix) :].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                found.setdefault(name, path)
    return found


def _package_of(folder: Path, path: str) -> tuple[str, ...]:
    """The package that relative imports of a file begin at, as parts of its dotted name."""
    for root in source_roots(folder):
        prefix = "" if root == folder else f"{root.relative_to(folder).as_posix()}/"
        if path.startswith(prefix):
            return tuple(path[len(prefix) :].split("/")[:-1])
    return ()


def _imports(data: bytes, package: tuple[str, ...]) -> Iterator[str]:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*outer, *((node.module,) if node.module else ())))
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _files_of(name: str, modules: dict[str, str]) -> Iterator[str]:
    """The module itself, and the packages around it: importing ``a.b`` runs ``a/__init__.py`` too."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        if (path := modules.get(".".join(parts[:end]))) is not None:
            yield path
