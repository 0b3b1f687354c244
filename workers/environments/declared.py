"""What a project says it needs, read from its files. Nothing of the project is run."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from workers.environments.setup_py import setup_arguments

TEXT_CAP = 2_000_000
REQUIREMENT_FILES = (
    "requirements-test.txt", "requirements-tests.txt", "requirements-testing.txt", "requirements_test.txt",
    "requirements_tests.txt", "test-requirements.txt", "test_requirements.txt", "tests/requirements.txt",
    "test/requirements.txt", "requirements/test.txt", "requirements/tests.txt", "requirements/testing.txt",
    "requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt", "requirements/dev.txt",
)  # fmt: skip


@dataclass
class Declared:
    """Requirements as the project wrote them.

    Attributes:
        needed: what the package itself needs.
        testing: what its tests need, from the first place that says so.
        builds: what building it needs.
        notes: what was read from where, and what could not be read.
    """

    name: str = ""
    version: str = ""
    needed: list[Requirement] = field(default_factory=list)
    testing: list[Requirement] = field(default_factory=list)
    builds: list[Requirement] = field(default_factory=list)
    buildable: bool = False
    notes: list[str] = field(default_factory=list)


def read_declared(folder: Path, extras_wanted: Sequence[str]) -> Declared:
    """Read pyproject.toml, setup.cfg, setup.py, requirements files and tox.ini, in that order of trust."""
    declared = Declared(buildable=any((folder / n).is_file() for n in ("pyproject.toml", "setup.py", "setup.cfg")))
    pyproject = _toml(folder / "pyproject.toml", declared)
    groups = _from_pyproject(pyproject, declared)
    config = _ini(folder / "setup.cfg")
    for source in (_from_setup_cfg(config), setup_arguments(_text(folder / "setup.py"))):
        _merge_setup(source, declared, groups)
    if not declared.buildable:
        declared.needed += _file_requirements(folder / "requirements.txt", declared)
    declared.testing = _choose_group(groups, extras_wanted) or _test_files(folder, declared) or _tox(folder, declared)
    return declared


def _from_pyproject(pyproject: dict[str, Any], declared: Declared) -> dict[str, list[Requirement]]:
    project = _table(pyproject, "project")
    declared.name = str(project.get("name") or "")
    declared.version = str(project.get("version") or "")
    declared.needed += parse_all(_strings(project.get("dependencies")), declared.notes)
    build = _table(pyproject, "build-system")
    declared.builds = parse_all(_strings(build.get("requires")), declared.notes)
    groups = {
        str(name).lower(): parse_all(_strings(wanted), declared.notes)
        for name, wanted in _table(project, "optional-dependencies").items()
    }
    for name in _table(pyproject, "dependency-groups"):
        told = parse_all(_group(_table(pyproject, "dependency-groups"), name, ()), declared.notes)
        groups[name.lower()] = [*groups.get(name.lower(), []), *told]
    _from_poetry(_table(pyproject, "tool", "poetry"), declared, groups)
    for name, wanted in _table(pyproject, "tool", "pdm", "dev-dependencies").items():
        groups.setdefault(str(name).lower(), []).extend(parse_all(_strings(wanted), declared.notes))
    return groups


def _group(groups: dict[str, Any], name: str, seen: tuple[str, ...]) -> list[str]:
    """A PEP 735 group with the groups it includes; a circle ends where it began."""
    found: list[str] = []
    entries = groups.get(name)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str):
            found.append(entry)
        elif isinstance(entry, dict) and (inner := entry.get("include-group")) and inner not in (*seen, name):
            found += _group(groups, str(inner), (*seen, name))
    return found


def _from_poetry(poetry: dict[str, Any], declared: Declared, groups: dict[str, list[Requirement]]) -> None:
    declared.name = declared.name or str(poetry.get("name") or "")
    declared.version = declared.version or str(poetry.get("version") or "")
    if not declared.needed:
        declared.needed += _poetry_requirements(_table(poetry, "dependencies"), declared.notes)
    told = _poetry_requirements(_table(poetry, "dev-dependencies"), declared.notes)
    for name in _table(poetry, "group"):
        found = _poetry_requirements(_table(poetry, "group", name, "dependencies"), declared.notes)
        groups.setdefault(name.lower(), []).extend(found)
    if told:
        groups.setdefault("dev", []).extend(told)


def _poetry_requirements(table: dict[str, Any], notes: list[str]) -> list[Requirement]:
    """Names with lower bounds only: a caret's upper bound has kept more suites from running than it has saved."""
    found = []
    for name, wanted in table.items():
        version = wanted.get("version", "*") if isinstance(wanted, dict) else wanted
        optional = isinstance(wanted, dict) and wanted.get("optional")
        if name.lower() == "python" or optional or not isinstance(version, str):
            continue
        bound = re.fullmatch(r"[\^~](\d[\w.]*)", version.strip())
        plain = re.fullmatch(r"\d[\w.]*", version.strip())
        mark = f">={bound[1]}" if bound else f"=={version.strip()}" if plain else "" if version == "*" else version
        found.append(f"{name}{mark}")
    return parse_all(found, notes)


def _from_setup_cfg(config: configparser.RawConfigParser) -> dict[str, Any]:
    def lines(section: str, key: str) -> list[str]:
        return [line.strip() for line in config.get(section, key, fallback="").splitlines() if line.strip()]

    extras = {}
    if config.has_section("options.extras_require"):
        extras = {key: lines("options.extras_require", key) for key in config.options("options.extras_require")}
    return {
        "name": config.get("metadata", "name", fallback=""),
        "version": config.get("metadata", "version", fallback=""),
        "install_requires": lines("options", "install_requires"),
        "tests_require": lines("options", "tests_require"),
        "extras_require": extras,
    }


def _merge_setup(told: dict[str, Any], declared: Declared, groups: dict[str, list[Requirement]]) -> None:
    declared.name = declared.name or str(told.get("name") or "")
    version = str(told.get("version") or "")
    declared.version = declared.version or (version if version[:1].isdigit() else "")
    if not declared.needed:
        declared.needed += parse_all(_strings(told.get("install_requires")), declared.notes)
    extras = told.get("extras_require")
    for name, wanted in (extras if isinstance(extras, dict) else {}).items():
        groups.setdefault(str(name).lower(), []).extend(parse_all(_strings(wanted), declared.notes))
    groups.setdefault("tests_require", []).extend(parse_all(_strings(told.get("tests_require")), declared.notes))


def _choose_group(groups: dict[str, list[Requirement]], wanted: Sequence[str]) -> list[Requirement]:
    """Everything the test groups say; a group ``dev`` only where no test group says anything."""
    testing = [r for name in wanted if name != "dev" for r in groups.get(name, [])]
    return testing or groups.get("tests_require", []) or (groups.get("dev", []) if "dev" in wanted else [])


def _test_files(folder: Path, declared: Declared) -> list[Requirement]:
    for name in REQUIREMENT_FILES:
        if (folder / name).is_file() and (found := _file_requirements(folder / name, declared)):
            declared.notes.append(f"test requirements were read from {name}")
            return found
    return []


def _tox(folder: Path, declared: Declared) -> list[Requirement]:
    config = _ini(folder / "tox.ini")
    lines = config.get("testenv", "deps", fallback="").splitlines()
    found: list[Requirement] = []
    for line in lines:
        text = line.strip()
        if text.startswith("-r"):
            found += _file_requirements(folder / text[2:].strip(), declared)
        elif text and not re.match(r"^[\w.,{}!-]+:\s", text):  # "py38: x" holds for one environment of tox only
            found += parse_all([text], declared.notes)
    if found:
        declared.notes.append("test requirements were read from tox.ini")
    return found


def _file_requirements(path: Path, declared: Declared, depth: int = 0) -> list[Requirement]:
    """The plain lines of a requirements file and of those it includes. Links, paths and options are not followed."""
    found: list[Requirement] = []
    for raw in _text(path).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip().rstrip("\\").strip()
        included = re.match(r"^(?:-r|--requirement)[ =]?(\S+)$", line)
        if included and depth < 5:
            found += _file_requirements(path.parent / included[1], declared, depth + 1)
        elif line and not line.startswith("-"):
            found += parse_all([line.split(" --hash", 1)[0]], declared.notes)
    return found


def parse_all(lines: Iterable[str], notes: list[str]) -> list[Requirement]:
    """Requirements that apply to this Python; what cannot be read, or points at a URL, is noted and left out."""
    found = []
    for line in lines:
        try:
            requirement = Requirement(line.strip())
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except (InvalidRequirement, UndefinedEnvironmentName) as error:
            notes.append(f"the requirement {line.strip()[:80]!r} cannot be read: {str(error).splitlines()[0]}")
            continue
        if requirement.url:
            notes.append(f"{requirement.name} is required from a URL; it was left out")
        elif applies:
            found.append(requirement)
    return found


def names(requirements: Iterable[Requirement]) -> set[str]:
    """Their canonical names."""
    return {str(canonicalize_name(r.name)) for r in requirements}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [line for line in value.splitlines() if line.strip()]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list | tuple) else []


def _table(root: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        value = root.get(key)
        root = value if isinstance(value, dict) else {}
    return root


def _text(path: Path) -> str:
    if not path.is_file() or path.is_symlink() or path.stat().st_size > TEXT_CAP:
        return ""
    return path.read_text("utf-8", errors="replace")


def _toml(path: Path, declared: Declared) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        declared.notes.append(f"{path.name} cannot be read: {error}")
        return {}


def _ini(path: Path) -> configparser.RawConfigParser:
    config = configparser.RawConfigParser(strict=False)
    try:
        config.read_string(_text(path))
    except configparser.Error:
        return configparser.RawConfigParser()  # a file that configparser cannot read declares nothing it could use
    return config
