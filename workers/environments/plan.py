"""What to install for one project: declared, guessed, and what every environment has. Pure but for reading files."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workers.environments.declared import Declared, names, read_declared
from workers.environments.guessed import Guesses, guess

RECIPE = 4  # raise it when the way of building changes: environments built the old way are then left to be swept
ALWAYS = ("pytest", "coverage")
READABLE_PYTESTS = ("7.4.4", "8.3.5", "8.4.2", "9.0.0", "9.1.0", "9.2.0")
PACKAGING_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO", "MANIFEST.in")

# Tools of a developer that no test run needs; they are large, and conflict most often.
NOT_FOR_TESTS = re.compile(
    r"^(tox|nox|mypy|pyright|flake8|pylint|black|ruff|isort|pre-commit|twine|build|codecov|coveralls|bump2version|towncrier"
    r"|zest-releaser|check-manifest|ipython|jupyter|ipdb|pdbpp|furo|codespell|commitizen|wheel|pip|uv|hatch|poetry|pdm"
    r"|bandit|safety|interrogate|pyupgrade|autopep8|docformatter|vulture|slotscheck|pyroma)$"
    r"|^(sphinx|mkdocs|flake8|types|pytest-(flake8|pep8|isort|black|ruff|mypy$|pylint|sugar|checkdocs|enabler|codspeed))"
)
METADATA_USE = re.compile(r"importlib[._]metadata|pkg_resources|get_distribution\(")
ENTRY_POINTS = re.compile(
    r"pytest11|console_scripts|\[project\.(scripts|entry-points)|\[tool\.poetry\.(scripts|plugins)"
)


@dataclass(frozen=True)
class Plan:
    """What one environment shall hold.

    Attributes:
        mandatory: requirements without which there is no sense in going on.
        optional: requirements of the tests; one that cannot be installed is noted.
        own: canonical name of the project itself when it is installed from the index.
        build: the requirements of its build when its metadata have to come from a build of a copy; else None.
        stamp: a digest of what the build reads.
    """

    mandatory: tuple[str, ...]
    optional: tuple[str, ...]
    notes: tuple[str, ...]
    own: str = ""
    build: tuple[str, ...] | None = None
    version: str = ""
    stamp: str = ""

    def key(self, python: str) -> str:
        """The hash of everything that decides what is in the environment; ``python`` names the interpreter."""
        told = [RECIPE, python, platform.machine(), sorted(self.mandatory), sorted(self.optional)]
        told += [self.own, list(self.build or ()), self.version, self.stamp]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]


def make_plan(folder: Path, requirement: str | None, extras_wanted: Sequence[str]) -> Plan:
    """Read the project and decide.

    Raises:
        packaging.requirements.InvalidRequirement: ``requirement`` is none.
    """
    declared, guesses = read_declared(folder, extras_wanted), guess(folder)
    notes = list(declared.notes)
    own = str(canonicalize_name(Requirement(requirement).name)) if requirement else ""
    itself = {own, str(canonicalize_name(declared.name))} if declared.name or own else {""}
    needed = [r for r in declared.needed if names([r]).isdisjoint(itself)]
    testing = _for_tests(declared, guesses, itself, notes)
    mandatory = [*map(str, needed), *ALWAYS[1:]]
    if requirement:
        mandatory.append(requirement)
    mandatory.append(_pytest(testing, guesses, notes))
    known = names(needed) | names(testing) | itself | {"pytest", "coverage"}
    # A guess with a version (setuptools, before it lost pkg_resources) narrows what is declared without one.
    guessed = [w for w in guesses.wanted if "<" in w or names([Requirement(w)]).isdisjoint(known)]
    notes += [f"{want} was guessed from {guesses.wanted[want]}" for want in guessed]
    builds = not requirement and declared.buildable and _needs_metadata(folder)
    unexplained = sorted(n for n in guesses.unknown if str(canonicalize_name(n)) not in known)
    if unexplained and not (requirement or needed or testing):
        notes.append(f"nothing declares what the tests import: {', '.join(unexplained[:10])}")
    return Plan(
        mandatory=tuple(dict.fromkeys(mandatory)),
        optional=tuple(dict.fromkeys([*(str(r) for r in testing if names([r]) != {"pytest"}), *guessed])),
        notes=tuple(dict.fromkeys(notes)),
        own=own,
        build=_build_requirements(declared) if builds else None,
        version=declared.version or _pkg_info_version(folder),
        stamp=_stamp(folder) if builds else "",
    )


def from_build(plan: Plan, folder: Path, requirement: str) -> Plan:
    """The plan for a release that the index has no wheel of: built from the folder instead."""
    declared = read_declared(folder, ())
    version = requirement.partition("==")[2]
    return Plan(
        mandatory=tuple(r for r in plan.mandatory if r != requirement),
        optional=plan.optional,
        notes=(*plan.notes, f"the index has no wheel of {requirement}; its metadata come from a build of the folder"),
        build=_build_requirements(declared),
        version=version or plan.version,
        stamp=_stamp(folder),
    )


def _for_tests(declared: Declared, guesses: Guesses, itself: set[str], notes: list[str]) -> list[Requirement]:
    asked_for = names(Requirement(w) for w in guesses.wanted)
    kept, left_out = [], []
    for requirement in declared.testing:
        name = str(canonicalize_name(requirement.name))
        if name in itself:
            continue
        if NOT_FOR_TESTS.match(name) and name not in asked_for:
            left_out.append(name)
        else:
            kept.append(requirement)
    if left_out:
        notes.append(f"left out, for no test needs them: {', '.join(sorted(set(left_out)))}")
    return kept


def _pytest(testing: list[Requirement], guesses: Guesses, notes: list[str]) -> str:
    """The project's own wish for pytest when a version that runs on this Python fits it."""
    wishes = [r for r in testing if canonicalize_name(r.name) == "pytest"]
    for wish in wishes:
        if wish.specifier and not any(wish.specifier.contains(v) for v in READABLE_PYTESTS):
            notes.append(f"{wish} is too old for Python {platform.python_version()}; a newer pytest was taken")
            break
    else:
        if wishes and wishes[0].specifier:
            return str(wishes[0])
    if guesses.old_pytest:
        notes.append("the tests use nose's setup and teardown: pytest 7 was taken")
        return "pytest>=7.4,<8"
    return "pytest"


def _build_requirements(declared: Declared) -> tuple[str, ...]:
    return tuple(
        sorted({"pip", *(str(r) for r in declared.builds or [Requirement("setuptools"), Requirement("wheel")])})
    )


def _needs_metadata(folder: Path) -> bool:
    """Whether code or tests ask for the distribution's own metadata, or its scripts and plugins are declared there."""
    for name in PACKAGING_FILES[:3]:
        path = folder / name
        if path.is_file() and ENTRY_POINTS.search(path.read_text("utf-8", errors="replace")):
            return True
    hidden = {".git", ".venv", "venv", "node_modules"}
    for path in folder.rglob("*.py"):
        if path.name == "setup.py" or hidden & set(path.parts) or path.is_symlink():
            continue
        if METADATA_USE.search(path.read_text("utf-8", errors="replace")):
            return True
    return False


def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in PACKAGING_FILES:
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() and not path.is_symlink() else b"-")
    return digest.hexdigest()[:16]


def _pkg_info_version(folder: Path) -> str:
    path = folder / "PKG-INFO"
    text = path.read_text("utf-8", errors="replace") if path.is_file() and not path.is_symlink() else ""
    match = re.search(r"(?m)^Version: (\S+)", text)
    return match[1] if match else ""
